"""`forensics bench`: measure this machine."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.cli.output import show_building, stderr, stdout
from forensics.runlog.writer import write_json


@click.command(
    "bench",
    epilog="""\b
Examples:
  forensics bench --gpu-check gpu.json
  forensics bench --gpu-check gpu.json --footage clips/ --cascade NEW

Where there is no GPU it says so in the file; the exit code is 0 all the same.
Speed on the CPU, against other programs: `make bench` in the source.""",
)
@click.option(
    "--gpu-check",
    "out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON to write: what is installed, parity with ONNX Runtime, latency and throughput, "
    "CUDA graphs, decoding and a whole scan on the GPU.",
)
@click.option(
    "--footage",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="What to scan and decode. Repeatable; without it those parts are left out.",
)
@click.option("--cascade", default="handgun", show_default=True, help="Bundled name or a folder.")
@click.option(
    "--rounds", type=click.IntRange(5, 1000), default=50, show_default=True, help="Runs measured."
)
def bench_command(out: Path, footage: tuple[Path, ...], cascade: str, rounds: int) -> None:
    """Measure what this machine's GPU does, and write it as JSON."""
    from forensics.scan.gpu_check import gpu_check

    with show_building():
        result = gpu_check(
            footage, lambda text: stderr().print(text, markup=False), cascade=cascade, rounds=rounds
        )
    write_json(result, out)
    parts = [part for part in result.values() if isinstance(part, dict) and "available" in part]
    done = sum(part["available"] for part in parts)
    stdout().print(f"{done} of {len(parts)} parts measured: {out}", markup=False)
