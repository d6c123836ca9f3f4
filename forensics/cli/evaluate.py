"""`forensics evaluate`: a run against truth, as a table or JSON."""

from __future__ import annotations

import json
from pathlib import Path

import click

from forensics.cli.options import GivenTruth, chosen_point, emit, threshold_or_off, truth_options
from forensics.evaluation.evaluate import evaluate
from forensics.evaluation.rules import run_rules
from forensics.evaluation.text import render
from forensics.runlog.reader import open_run

EXAMPLES = """
\b
Examples:
  forensics evaluate RUN --truth labels/
  forensics evaluate RUN --truth spans.csv --truth boxes.coco.json --format json
  forensics evaluate RUN --truth data/valid --class-map 1=gun --class-map 0=
  forensics evaluate RUN --truth labels/ --detector-threshold 0.4 --classifier-threshold 0.7
"""


def _confirm(
    _: click.Context, __: click.Parameter, given: str | None
) -> tuple[int | None, int | None]:
    if given is None:
        return None, None
    hits, _slash, frames = given.partition("/")
    if not (hits.isdigit() and frames.isdigit() and 1 <= int(hits) <= int(frames)):
        raise click.BadParameter("write k/n with 1 <= k <= n, such as 3/5")
    return int(hits), int(frames)


@click.command("evaluate", epilog=EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@truth_options(required=True)
@click.option("--detector-threshold", type=click.FloatRange(0, 1), help="Default: as scanned.")
@click.option(
    "--classifier-threshold",
    callback=threshold_or_off,
    metavar="NUMBER|off",
    help="Off: the detector alone. Default: as scanned.",
)
@click.option("--iou", type=float, default=0.5, show_default=True, help="Least overlap of a hit.")
@click.option("--gap", type=float, help="Seconds between alerts. Default: as the cascade says.")
@click.option(
    "--collar",
    type=float,
    default=2.0,
    show_default=True,
    help="Seconds by which an alarm may lie outside an incident.",
)
@click.option(
    "--confirm",
    callback=_confirm,
    metavar="K/N",
    help="An alert needs K of the last N processed frames. Default: as the cascade says.",
)
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
def evaluate_command(  # noqa: PLR0913, PLR0917 - one per option
    run: Path,
    given: GivenTruth,
    detector_threshold: float | None,
    classifier_threshold: float | str | None,
    iou: float,
    gap: float | None,
    collar: float,
    confirm: tuple[int | None, int | None],
    style: str,
    out: Path | None,
) -> None:
    """Judge RUN against truth: detector alone beside detector and classifier.

    Counts, precision, recall and false alarms with intervals, at box, frame and event level, at
    any thresholds not below those of the log. Nothing is scanned again.
    """
    tables = open_run(run)
    point = chosen_point(tables, detector_threshold, classifier_threshold)
    rules = run_rules(
        tables,
        iou=iou,
        gap_s=gap,
        collar_s=collar,
        confirm_hits=confirm[0],
        confirm_frames=confirm[1],
        unlabelled=given.unlabelled,
        class_map=given.class_map,
    )
    result = evaluate(tables, given.load(), operating_point=point, rules=rules).to_json()
    if style == "json":
        emit(json.dumps(result, indent=2, allow_nan=False) + "\n", out)
    else:
        emit(render(result), out)
