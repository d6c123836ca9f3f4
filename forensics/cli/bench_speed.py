"""`forensics bench`: how fast scans are on this machine, beside their ceilings and their peers."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from forensics.bench import peer
from forensics.bench.files import write_report
from forensics.bench.page import table
from forensics.bench.run import DEFAULT_PARTS, PARTS, BenchOptions, run_bench
from forensics.cli.demo import SAMPLE
from forensics.cli.options import Command

EXAMPLES = """\b
Examples:
  forensics bench                               six to seven minutes on two cores
  forensics bench --part speed --peer none      ceilings and scans alone
  forensics bench --part length --minutes 1 --minutes 60
  forensics bench --part modes                  what --imgsz 1280 and --tiles 2x2 cost
  forensics bench --source my-camera.mp4 --out REPORTS"""


def speed_options(command: Command) -> Command:
    """Add the options of `measure_speed`."""
    options = [
        click.option(
            "--source",
            type=click.Path(path_type=Path),
            default=SAMPLE / "gate-plain.mp4",
            help="Gun-free footage, of which the clip that is measured is made. Default: the "
            "sample's.",
        ),
        click.option("--rounds", default=5, show_default=True, help="Each measures every line."),
        click.option("--seconds", default=5, show_default=True, help="Length of the clip."),
        click.option(
            "--part", "parts", type=click.Choice(PARTS), multiple=True, default=DEFAULT_PARTS
        ),
        click.option(
            "--peer",
            "peers",
            type=click.Choice([*peer.ENGINES, "none"]),
            multiple=True,
            default=peer.ENGINES,
            help="Engines under `ultralytics predict` to compare with, where it is installed.",
        ),
        click.option(
            "--minutes",
            type=click.IntRange(1),
            multiple=True,
            default=(1, 4, 16),
            help="Lengths of footage in the part length.",
        ),
        click.option("--backend", default="auto", show_default=True),
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            help="Folder for benchmarks.json, .md and .svg; needs the part speed.",
        ),
    ]
    with_options: Any = command
    for option in reversed(options):
        with_options = option(with_options)
    wrapped: Command = with_options
    return wrapped


@click.command("bench", epilog=EXAMPLES)
@speed_options
def bench_command(**given: Any) -> None:
    """Measure scans beside their ceilings and peers, in interleaved rounds.

    The part `skipping` needs labelled footage: the folder that FORENSICS_DATA names.
    """
    measure_speed(given)


def measure_speed(given: dict[str, Any]) -> None:
    """Measure as the options say, print the tables, keep them under --out."""
    data, out = os.environ.get("FORENSICS_DATA"), given["out"]
    options = BenchOptions(
        source=given["source"],
        rounds=given["rounds"],
        seconds=given["seconds"],
        backend=given["backend"],
        peers=tuple(name for name in given["peers"] if name != "none"),
        minutes=tuple(given["minutes"]),
        parts=tuple(given["parts"]),
        data=Path(data) if data else None,
    )
    if out is not None and "speed" not in options.parts:
        raise click.UsageError("--out needs --part speed: the page begins with it")
    figures = run_bench(options, lambda line: click.echo(line, err=True))
    figures["command"] = shlex.join(["forensics", *sys.argv[1:]])
    click.echo(table(figures))
    if out is not None:
        write_report(figures, out)
