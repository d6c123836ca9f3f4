"""`forensics compare`: detector against cascade, or one run against another."""

from __future__ import annotations

import json
from pathlib import Path

import click

from forensics.cli.options import GivenTruth, emit, truth_options
from forensics.evaluation.rules import point_at, run_rules
from forensics.evaluation.side_by_side import SideBySide, compare_arms, compare_runs
from forensics.evaluation.text_compare import render_comparison
from forensics.runlog.reader import open_run
from forensics.truth.base import Truth

EXAMPLES = """
\b
Examples:
  forensics compare RUN --truth labels/                     detector alone against the cascade
  forensics compare OLD NEW --truth labels/                 two cascades over the same footage
  forensics compare FP32 INT8 --truth labels/ --format json --out comparison.json

Footage is matched by content: files that only one run has are listed and left out.
"""


@click.command("compare", epilog=EXAMPLES)
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path), required=False)
@truth_options(required=True)
@click.option("--detector-threshold", type=click.FloatRange(0, 1), help="Default: as scanned.")
@click.option("--classifier-threshold", type=click.FloatRange(0, 1), help="Default: as scanned.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
def compare_command(
    run_a: Path,
    run_b: Path | None,
    given: GivenTruth,
    detector_threshold: float | None,
    classifier_threshold: float | None,
    style: str,
    out: Path | None,
) -> None:
    """Compare two ways of judging the same footage against truth, camera by camera.

    With one run the detector alone against the cascade; with two, the cascade of RUN_A against
    that of RUN_B. Prints figures, paired intervals, equal recall and equal false alarms, and the
    frames on which only one side alarms (all of them in the JSON).
    """
    if run_b and (detector_threshold, classifier_threshold) != (None, None):
        raise click.UsageError("thresholds can be given for one run only; two are as scanned")
    result = _compare(run_a, run_b, given, (detector_threshold, classifier_threshold)).to_json()
    if style == "json":
        emit(json.dumps(result, indent=2, allow_nan=False) + "\n", out)
    else:
        emit(render_comparison(result), out)


def _compare(
    run_a: Path,
    run_b: Path | None,
    given: GivenTruth,
    thresholds: tuple[float | None, float | None],
) -> SideBySide:
    first = open_run(run_a)
    rules = run_rules(first, unlabelled=given.unlabelled, class_map=given.class_map)
    truth: Truth = given.load()
    if run_b is not None:
        return compare_runs(first, open_run(run_b), truth, rules)
    return compare_arms(first, truth, rules, point_at(first, *thresholds))
