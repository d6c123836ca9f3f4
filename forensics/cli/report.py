"""`forensics report`: a run as one HTML file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from forensics.cli.options import GivenTruth, truth_options
from forensics.cli.output import counting, stdout
from forensics.evaluation.rules import point_at, run_rules
from forensics.report.model import DEFAULT_PICTURES, DEFAULT_SEED, Options
from forensics.report.page import read_truth, write_report
from forensics.runlog.reader import open_run

EXAMPLES = """
\b
Examples:
  forensics report RUN                           incidents with pictures, no truth needed
  forensics report RUN --truth labels/           detector alone beside the cascade
  forensics report RUN --truth spans.csv --out case-17.html --max-pictures 120
  forensics report RUN --detector-threshold 0.4 --classifier-threshold 0.7
"""


@click.command("report", epilog=EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@truth_options(required=False)
@click.option("--detector-threshold", type=click.FloatRange(0, 1), help="Default: as scanned.")
@click.option("--classifier-threshold", type=click.FloatRange(0, 1), help="Default: as scanned.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: beside the run folder, named after it.",
)
@click.option(
    "--max-pictures",
    type=click.IntRange(0),
    default=DEFAULT_PICTURES,
    show_default=True,
    help="Most detections shown with pictures in each list.",
)
@click.option("--seed", type=click.IntRange(0), default=DEFAULT_SEED, show_default=True)
def report_command(  # noqa: PLR0913, PLR0917 - one per option
    run: Path,
    given: GivenTruth,
    detector_threshold: float | None,
    classifier_threshold: float | None,
    out: Path | None,
    max_pictures: int,
    seed: int,
) -> None:
    """Write RUN as one HTML file that opens offline, with pictures.

    With truth: verdict, an explorer of other thresholds, both arms side by side, curves, false
    alarms by place and look, and what the classifier removed.
    Without: incidents by file and time. Pictures are fetched from the footage, where it still is,
    and kept in RUN/evidence.
    """
    tables = open_run(run)
    point = point_at(tables, detector_threshold, classifier_threshold)
    truth = read_truth(given.paths, given.format) if given.paths else None
    rules = run_rules(tables, unlabelled=given.unlabelled, class_map=given.class_map)
    target = out or beside(run)
    options = Options(max_pictures, seed, _now())
    with counting("fetching pictures") as progress:
        n_bytes = write_report(
            tables, target, truth, point=point, rules=rules, options=options, progress=progress
        )
    stdout().print(f"{target} ({n_bytes / 1e6:.1f} MB)", markup=False)


def beside(run: Path) -> Path:
    """The default place of a report: outside the run folder, whose check sums stay as they are."""
    folder = Path(os.path.abspath(run))
    return folder.with_name(f"{folder.name}-report.html")


def _now() -> str:
    """Time of writing; SOURCE_DATE_EPOCH fixes it, for reports that must be repeatable."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
