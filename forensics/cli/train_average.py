"""`forensics train average`: one detector out of several trainings."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.cli.output import stdout

EXAMPLES = """
\b
Examples:
  forensics train average FIT1/weights/best.pt FIT2/weights/best.pt --out averaged.pt
  forensics export --detector averaged.pt --classifier FIT3 --calibration FOOTAGE --out CASCADE

Only for trainings that began with the same weights, or went on from one another. Judge the result
on validation pictures as you would any other. Opening a .pt file runs code that is in it.
"""


@click.command("average", epilog=EXAMPLES)
@click.argument(
    "weights", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False)
)
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False))
def average_command(weights: tuple[Path, ...], out: Path) -> None:
    """Average the detector checkpoints WEIGHTS: often better than any of them, and as fast."""
    from forensics.training.average import average_detectors

    values = average_detectors(weights, out)
    stdout().print(f"{out}: mean of {len(weights)} checkpoints, {values:,} values", markup=False)
    stdout().print(f"next: forensics export --detector {out} ...", markup=False)
