"""`forensics retrain`: train a classifier on with cases that a person looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from forensics.cli.options import given_cascade
from forensics.cli.output import counting, stderr, stdout
from forensics.cli.training import (
    MACHINE_OPTIONS,
    EpochProgress,
    crop_class_map,
    freeze_epochs,
    of,
    show_calibration,
    with_options,
)

EXAMPLES = """
\b
Examples:
  forensics retrain ./CASCADE --fit FIT --crops CROPS --run RUN --labels said.csv --out FIT2

\b
said.csv names rows of RUN's log:
  path,frame_index,detection_index,label
  yard/day1.mp4,120,0,umbrella
"""
OPTIONS = [
    click.option("--epochs", type=click.IntRange(1), default=5, show_default=True),
    click.option("--batch", type=click.IntRange(2), default=32, show_default=True),
    click.option(
        "--lr", type=click.FloatRange(0, 1, min_open=True), default=3e-4, show_default=True
    ),
    freeze_epochs(0),
    *MACHINE_OPTIONS,
]
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("retrain", epilog=EXAMPLES)
@click.argument("cascade", callback=given_cascade)
@click.option("--fit", required=True, type=FOLDER, help="The cascade's classifier, as trained.")
@click.option(
    "--crops", multiple=True, required=True, type=FOLDER, help="What FIT learned from. Repeatable."
)
@click.option("--run", "run_folder", required=True, type=FOLDER, help="Run that was reviewed.")
@click.option(
    "--labels",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV: path, frame_index, detection_index, label.",
)
@click.option("--out", required=True, type=FOLDER, metavar="FIT2")
@crop_class_map("As FIT was trained with.")
@with_options(OPTIONS)
def retrain_command(cascade: str, run_folder: Path, out: Path, **options: Any) -> None:
    """Add reviewed detections of a run to FIT's training crops, train on, and compare.

    Writes FIT2, and before against after on the same validation crops, at CASCADE's threshold.
    """
    from forensics.cascade.definition import load_cascade
    from forensics.runlog.reader import open_run
    from forensics.training.classifier_settings import TrainSettings
    from forensics.training.retrain import Retraining, retrain

    asked = Retraining(
        cascade=load_cascade(cascade),
        run=open_run(run_folder),
        out=out,
        fit=options.pop("fit"),
        labels=options.pop("labels"),
        crops=options.pop("crops"),
        class_map=options.pop("mapped"),
    )
    settings = TrainSettings(**options, patience=options["epochs"])
    with counting("cutting crops") as cut, EpochProgress() as watch:
        done = retrain(asked, settings, watch, cut)
    for problem in done.problems:
        stderr().print(f"{problem.where}: {problem.what}", markup=False)
    console = stdout()
    console.print(f"{done.added} reviewed detections added")
    if not done.same_crops:
        console.print("note: --crops are not those that FIT was trained on; FIT may know some")
    _show(done.comparison)
    show_calibration(done.meta.metrics["calibration"])
    console.print(f"wrote {out}\nnext: forensics export with {out} as the classifier")


def _show(found: dict[str, Any]) -> None:
    """Print before and after, with counts."""
    console = stdout()
    table = Table("class", "accepted as target: before", "after", box=None)
    for name, row in found["per_class"].items():
        whole = row["crops"]
        shares = [
            of(row[key] / whole if whole else None, row[key], whole)
            for key in ("accepted_before", "accepted_after")
        ]
        table.add_row(f"{name} (target)" if row["target"] else name, *shares)
    console.print(f"validation crops at target score {found['threshold']:g}:")
    console.print(table)
    for key, name in (("targets", "targets accepted"), ("others", "others refused")):
        row = found[key]
        p = "no crop differs" if row["mcnemar_p"] is None else f"p = {row['mcnemar_p']:.3g}"
        console.print(
            f"{name}: {row['right_before']}/{row['crops']} -> {row['right_after']}/{row['crops']}; "
            f"only before {row['only_before']}, only after {row['only_after']}; McNemar exact {p}"
        )
    row = found["equal_false"]
    console.print(
        f"at no more false than before: targets {row['found_before']}/{row['targets']} -> "
        f"{row['found_after']}/{row['targets']}, false {row['false_before']}/{row['others']} -> "
        f"{row['false_after']}/{row['others']}"
    )
