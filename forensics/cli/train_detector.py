"""`forensics train detector`: the first network, from a data set config."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from forensics.backends.base import available_cores
from forensics.cli.output import counting, stdout

EXAMPLES = """
\b
Examples:
  forensics train detector datasets/handgun/detector.toml --data-root /data --out fit
  forensics train detector my.toml --weights fit/weights/best.pt --imgsz 640 --epochs 10 --out fit2
  forensics train detector my.toml --out fit --prepare-only

The config names pictures, labels and footage, and which label names are yours. First the training
pictures are written to OUT/data (whole, in grids, with pasted objects), then ultralytics trains on
them into OUT. Run the same command again to go on after the last whole epoch. Opening a .pt file
runs code that is in it: use weights that you trust.
"""


@click.command("detector", epilog=EXAMPLES)
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--data-root",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: Path(os.environ.get("FORENSICS_DATA", ".")),
    show_default="$FORENSICS_DATA, or here",
    help="Folder that the config's paths are relative to.",
)
@click.option(
    "--weights", default="yolo11n.pt", show_default=True, help="Start: a file or a known name."
)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--epochs", type=click.IntRange(1), help="Default: the config's, or 10.")
@click.option("--imgsz", type=click.IntRange(64, 2048), help="Default: the config's, or 640.")
@click.option("--batch", type=click.IntRange(1, 512), help="Default: the config's, or 16.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads. Default: all cores.")
@click.option("--seed", type=click.IntRange(0), help="Default: the config's.")
@click.option("--prepare-only", is_flag=True, help="Write the training pictures and stop.")
def detector_command(
    config: Path, data_root: Path, out: Path, weights: str, prepare_only: bool, **options: Any
) -> None:
    """Train the detector on the sources that CONFIG (TOML) names."""
    from forensics.training.detector_job import DetectorJob, prepare, run

    job = DetectorJob(
        config=config,
        data_root=data_root,
        out=out,
        weights=weights,
        overrides={
            key: value
            for key, value in options.items()
            if value is not None and key in {"epochs", "imgsz", "batch", "seed", "device"}
        }
        | {"threads": options["threads"] or available_cores()},
    )
    console = stdout()
    with counting("training pictures") as tell:
        prepared = prepare(job, tell)
    for line in prepared.lines():
        console.print(line, markup=False)
    if prepare_only:
        return
    trained = run(job)
    console.print(f"best weights: {trained.best} after {trained.epochs} epochs", markup=False)
    for name, value in trained.metrics.items():
        console.print(f"  {name} {value:.4f}", markup=False)
    console.print("next: mine crops with it, train the classifier, then `forensics export`")
