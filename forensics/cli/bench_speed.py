"""`forensics bench`: how fast scans are on this machine, beside their ceilings and their peers."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from forensics.bench import peer
from forensics.bench.files import write_report
from forensics.bench.page import table
from forensics.bench.run import DEFAULT_PARTS, PARTS, BenchOptions, run_bench
from forensics.cli.demo import SAMPLE


@click.command(
    "bench",
    epilog="""\b
Examples:
  forensics bench                               about six minutes on two cores
  forensics bench --part speed --peer none      ceilings and scans alone
  forensics bench --part length --minutes 1 --minutes 60
  forensics bench --part modes                  what --imgsz 1280 and --tiles 2x2 cost
  forensics bench --source my-camera.mp4 --out REPORTS""",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    default=SAMPLE / "gate-plain.mp4",
    help="Gun-free footage, of which the clip that is measured is made. Default: the sample's.",
)
@click.option("--rounds", default=5, show_default=True, help="Each measures every line once.")
@click.option("--seconds", default=6, show_default=True, help="Length of the clip.")
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, default=DEFAULT_PARTS)
@click.option(
    "--peer",
    "peers",
    type=click.Choice([*peer.ENGINES, "none"]),
    multiple=True,
    default=peer.ENGINES,
    help="Engines under `ultralytics predict` to compare with, where it is installed.",
)
@click.option(
    "--minutes", type=click.IntRange(1), multiple=True, default=(1, 4, 16), help="Of part length."
)
@click.option("--backend", default="auto", show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for benchmarks.json, .md and .svg; needs the part speed.",
)
def bench_command(
    source: Path,
    rounds: int,
    seconds: int,
    parts: Sequence[str],
    peers: Sequence[str],
    minutes: Sequence[int],
    backend: str,
    out: Path | None,
) -> None:
    """Measure scans beside their ceilings and peers, in interleaved rounds.

    The part `skipping` needs labelled footage: the folder that FORENSICS_DATA names.
    """
    data = os.environ.get("FORENSICS_DATA")
    options = BenchOptions(
        source=source,
        rounds=rounds,
        seconds=seconds,
        backend=backend,
        peers=tuple(name for name in peers if name != "none"),
        minutes=tuple(minutes),
        parts=tuple(parts),
        data=Path(data) if data else None,
    )
    if out is not None and "speed" not in parts:
        raise click.UsageError("--out needs --part speed: the page begins with it")
    figures = run_bench(options, lambda line: click.echo(line, err=True))
    figures["command"] = shlex.join(["forensics", *sys.argv[1:]])
    click.echo(table(figures))
    if out is not None:
        write_report(figures, out)
