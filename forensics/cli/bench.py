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
from forensics.cli.output import show_building, stderr, stdout
from forensics.runlog.writer import write_json

GPU_ROUNDS, SPEED_ROUNDS = 50, 5


@click.command(
    "bench",
    epilog="""\b
Examples:
  forensics bench                               six to seven minutes on two cores
  forensics bench --part speed --peer none      ceilings and scans alone
  forensics bench --part length --minutes 1 --minutes 60
  forensics bench --part gun-free               what the classifier costs on your FORENSICS_DATA
  forensics bench --part modes                  what --imgsz 1280 and --tiles 2x2 cost
  forensics bench --source my-camera.mp4 --out REPORTS
  forensics bench --gpu-check gpu.json --footage clips/

Where there is no GPU, --gpu-check says so in the file; the exit code is 0 all the same.""",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    default=SAMPLE / "gate-plain.mp4",
    help="Gun-free footage, of which the clip that is measured is made. Default: the sample's.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    help=f"Each measures every line once. Default: {SPEED_ROUNDS}; {GPU_ROUNDS} of the GPU.",
)
@click.option("--seconds", default=5, show_default=True, help="Length of the clip.")
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
@click.option(
    "--gpu-check",
    "gpu_json",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Measure the GPU instead, and write this JSON: what is installed, parity with ONNX "
    "Runtime, latency and throughput, CUDA graphs, decoding and a whole scan.",
)
@click.option(
    "--footage",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="What --gpu-check scans and decodes. Repeatable; without it those parts are left out.",
)
@click.option(
    "--cascade", default="handgun", show_default=True, help="Of --gpu-check: a name or a folder."
)
def bench_command(**options: Any) -> None:
    """Measure scans beside their ceilings and peers, in interleaved rounds.

    The parts `skipping` and `gun-free` need footage: the folder that FORENSICS_DATA names.
    """
    if options["gpu_json"] is not None:
        _check_gpu(options)
    else:
        _measure_speed(options)


def _measure_speed(options: dict[str, Any]) -> None:
    parts, out = tuple(options["parts"]), options["out"]
    if out is not None and "speed" not in parts:
        raise click.UsageError(
            "--out needs --part speed, with which the page begins; without --out figures are shown"
        )
    data = os.environ.get("FORENSICS_DATA")
    plan = BenchOptions(
        source=options["source"],
        rounds=options["rounds"] or SPEED_ROUNDS,
        seconds=options["seconds"],
        backend=options["backend"],
        peers=tuple(name for name in options["peers"] if name != "none"),
        minutes=tuple(options["minutes"]),
        parts=parts,
        data=Path(data) if data else None,
    )
    figures = run_bench(plan, lambda line: click.echo(line, err=True))
    figures["command"] = shlex.join(["forensics", *sys.argv[1:]])
    click.echo(table(figures))
    if out is not None:
        write_report(figures, out)


def _check_gpu(options: dict[str, Any]) -> None:
    from forensics.scan.gpu_check import gpu_check

    with show_building():
        result = gpu_check(
            options["footage"],
            lambda text: stderr().print(text, markup=False),
            cascade=options["cascade"],
            rounds=options["rounds"] or GPU_ROUNDS,
        )
    write_json(result, options["gpu_json"])
    parts = [part for part in result.values() if isinstance(part, dict) and "available" in part]
    done = sum(part["available"] for part in parts)
    stdout().print(f"{done} of {len(parts)} parts measured: {options['gpu_json']}", markup=False)
