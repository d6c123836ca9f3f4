"""`forensics train classifier`: the second network, from detector crops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from forensics.cli.options import given_cascade
from forensics.cli.output import stderr
from forensics.cli.training import (
    MACHINE_OPTIONS,
    EpochProgress,
    crop_class_map,
    freeze_epochs,
    show_fit,
    with_options,
)

EXAMPLES = """
\b
Examples:
  forensics train classifier CROPS --out FIT
  forensics train classifier CROPS MORE --out FIT --epochs 30 --average 0.99
  forensics train classifier CROPS --out FIT --frozen --epochs 5
  forensics train classifier CROPS --out FIT --class-map cup=other --targets gun
  forensics train classifier CROPS --out FIT --teacher ./LARGER --imgsz 120 --padding 1 \\
    --colour grey --weights teacher --lr 2e-4
  forensics train classifier CROPS --out FIT --model mobilenetv3_small_100 --weights w.safetensors

Interrupted? The same command goes on from the last whole epoch. Next: forensics export.
"""
OPTIONS = [
    click.option("--model", default="tf_efficientnet_lite0", show_default=True, help="timm name."),
    click.option(
        "--weights",
        default="imagenet-lite0",
        show_default=True,
        metavar="W",
        help="To start from: imagenet-lite0, a safetensors file, a FIT folder, teacher, or none.",
    ),
    click.option(
        "--epochs",
        type=click.IntRange(0),
        default=20,
        show_default=True,
        help="0, with --weights teacher: the teacher as it is, at another --imgsz.",
    ),
    click.option("--batch", type=click.IntRange(2), default=32, show_default=True),
    click.option(
        "--lr",
        type=click.FloatRange(0, 1, min_open=True),
        default=1e-3,
        show_default=True,
        help="Learning rate of the last layer; a tenth of it for a backbone that has learned.",
    ),
    freeze_epochs(1),
    click.option("--frozen", is_flag=True, help="Only the last layer learns, in all epochs."),
    click.option(
        "--patience",
        type=click.IntRange(1),
        default=6,
        show_default=True,
        help="End after so many epochs without a better validation.",
    ),
    click.option(
        "--balance",
        type=click.FloatRange(0, 1),
        default=1.0,
        show_default=True,
        help="1: every class shown equally often. 0: as often as it has crops.",
    ),
    click.option(
        "--average",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.0,
        show_default=True,
        help="Decay of a running average of the weights, kept instead of them; 0: none.",
    ),
    click.option(
        "--imgsz",
        type=click.IntRange(0, 1024),
        default=0,
        metavar="PX",
        help="Side of the network's input: a smaller one costs less. Default: that of the crops.",
    ),
    click.option(
        "--padding",
        type=click.FloatRange(0, 10),
        default=0.0,
        metavar="X",
        help="Side of what it sees, in longer sides of the box. Default: that of the crops.",
    ),
    click.option(
        "--teacher",
        metavar="CASCADE",
        callback=given_cascade,
        help="Learn what this cascade's classifier says of the crops, not their labels.",
    ),
    *MACHINE_OPTIONS,
    click.option(
        "--colour",
        type=click.Choice(["rgb", "grey"]),
        default="rgb",
        show_default=True,
        help="rgb: half of the crops are greyed in training. grey: all, and in the cascade too.",
    ),
]


@click.command("classifier", epilog=EXAMPLES)
@click.argument("crops", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), metavar="FIT"
)
@click.option(
    "--targets",
    multiple=True,
    default=["gun"],
    show_default=True,
    metavar="CLASS",
    help="What the cascade looks for. Repeatable.",
)
@crop_class_map("Train crops labelled OLD as NEW; nothing after = leaves them out.")
@click.option(
    "--min-crops",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Stop when a class has fewer crops to train on.",
)
@with_options(OPTIONS)
def classifier_command(
    crops: tuple[Path, ...],
    out: Path,
    targets: tuple[str, ...],
    mapped: dict[str, str],
    min_crops: int,
    **options: Any,
) -> None:
    """Train a classifier on the crop data sets CROPS of `forensics mine`, and calibrate it.

    Writes FIT: the weights of the best validation, classifier.json with all figures, log.csv,
    curves, confusion matrix and reliability diagram.
    """
    from forensics.training.classifier_settings import TrainSettings
    from forensics.training.criteria import classes_of
    from forensics.training.examples import gather
    from forensics.training.train_classifier import train_classifier

    if options.pop("frozen"):
        options["freeze_epochs"] = options["epochs"]
    settings = TrainSettings(**{**options, "teacher": options["teacher"] or ""})
    classes = classes_of(settings.teacher) if settings.teacher else None
    examples = gather(crops, targets, mapped, classes=classes, min_per_class=min_crops)
    if examples.problems:
        stderr().print(f"{len(examples.problems)} crops left out: {out / 'problems.csv'}")
    with EpochProgress() as watch:
        meta = train_classifier(examples, settings, out, watch)
    show_fit(meta, out)
