"""`forensics threshold`: choose an operating point that keeps a promise, and write it down."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from forensics.cascade.definition import CascadeDefinition, load_cascade
from forensics.cascade.rewrite import check_same_cascade, rewrite_cascade
from forensics.cli.options import GivenTruth, emit, given_cascade, truth_options
from forensics.errors import ForensicsError
from forensics.evaluation import prepare
from forensics.evaluation.choose import Choice, choose_thresholds
from forensics.evaluation.goals import (
    DEFAULT_SEED,
    PER_CAMERA_DAY,
    PER_MILLION_FRAMES,
    RECALL,
    Goal,
    Terms,
)
from forensics.evaluation.rules import run_rules
from forensics.evaluation.text_threshold import render_choice
from forensics.runlog.reader import RunTables, open_run

EXAMPLES = """
\b
Examples:
  forensics threshold RUN --truth labels/ --max-false-alarms 5/camera-day
  forensics threshold RUN --truth labels/ --max-false-alarms 200/million-frames --risk 0.1
  forensics threshold RUN --truth labels/ --min-recall 0.9 --calibration door --calibration yard
  forensics threshold RUN --truth labels/ --max-false-alarms 5/camera-day --out tuned/
  forensics scan /archive --recursive --cascade tuned/ --out RUN2

The cameras are divided: the thresholds are chosen on some and scored once on the others.
Exit code 1: nothing can be promised from these cameras (the line says what would help).
"""
_UNITS = {"camera-day": PER_CAMERA_DAY, "million-frames": PER_MILLION_FRAMES}
_LIMIT = re.compile(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*/\s*(camera-day|million-frames)\s*")


def _limit(_: click.Context, __: click.Parameter, given: str | None) -> Goal | None:
    if given is None:
        return None
    found = _LIMIT.fullmatch(given)
    if found is None or not float(found[1]) > 0:
        raise click.BadParameter(
            "write a number above 0 and a unit: 5/camera-day or 200/million-frames"
        )
    return Goal(float(found[1]), _UNITS[found[2]])


@click.command("threshold", epilog=EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@truth_options(required=True)
@click.option(
    "--max-false-alarms",
    "limit",
    callback=_limit,
    metavar="N/UNIT",
    help="Best recall under N/camera-day (false alerts) or N/million-frames (alarm frames).",
)
@click.option(
    "--min-recall",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Fewest false alarms with at least this recall (of incidents, if the truth has any).",
)
@click.option(
    "--risk",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Chance that the promise is wrong.",
)
@click.option(
    "--calibration", multiple=True, metavar="CAMERA", help="Choose on this camera. Repeatable."
)
@click.option(
    "--calibration-share",
    "share",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of the cameras to choose on, where none is named.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=DEFAULT_SEED,
    show_default=True,
    help="Draws the calibration cameras.",
)
@click.option("--no-guarantee", is_flag=True, help="Go by what was observed; promises nothing.")
@click.option(
    "--cascade",
    callback=given_cascade,
    help="Bundled name or folder (./FOLDER) to copy. Default: the run's, if bundled.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a copy of the cascade with the chosen operating point to this new folder.",
)
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table")
def threshold_command(
    run: Path, given: GivenTruth, cascade: str | None, out: Path | None, style: str, **options: Any
) -> None:
    """Choose thresholds for RUN's cascade that keep a promise on false alarms or recall.

    Prints the choice, its score on cameras that it was not chosen on, and what the promise is
    worth. With --out, writes a cascade folder that `scan --cascade` accepts.
    """
    goal, terms = _goal(options), _terms(options)
    if cascade and out is None:
        raise click.UsageError("--cascade says what to copy: give --out, the folder to write")
    tables = open_run(run)
    source = _source(cascade, tables) if out else None
    rules = run_rules(tables, unlabelled=given.unlabelled, class_map=given.class_map)
    choice = choose_thresholds(prepare(tables, given.load(), rules), goal, terms)
    if choice.operating_point is None and style == "table":
        raise ForensicsError(choice.scope[0])
    written = _write(choice, source, out)
    if style == "json":
        result = choice.to_json() | {"rules": rules.to_json(), "cascade": written}
        emit(json.dumps(result, indent=2, allow_nan=False) + "\n", None)
    else:
        emit(render_choice(choice.to_json(), written), None)
    if choice.operating_point is None:
        raise ForensicsError(choice.scope[0])


def _goal(options: dict[str, Any]) -> Goal:
    limit, recall = options["limit"], options["min_recall"]
    if (limit is None) == (recall is None):
        raise click.UsageError("give --max-false-alarms or --min-recall, one of them")
    return Goal(recall, RECALL) if limit is None else limit


def _terms(options: dict[str, Any]) -> Terms:
    return Terms(
        risk=options["risk"],
        share=options["share"],
        seed=options["seed"],
        calibration=options["calibration"],
        guarantee=not options["no_guarantee"],
    )


def _source(cascade: str | None, tables: RunTables) -> CascadeDefinition:
    source = load_cascade(cascade or tables.manifest["cascade"]["name"])
    check_same_cascade(source, tables.manifest)
    return source


def _write(
    choice: Choice, source: CascadeDefinition | None, out: Path | None
) -> dict[str, Any] | None:
    if source is None or out is None or choice.operating_point is None:
        return None
    copy = rewrite_cascade(source, out, choice.operating_point, choice.provenance)
    return {
        "folder": str(out),
        "name": copy.name,
        "version": copy.version,
        "sha256": copy.sha256,
        "chosen": copy.chosen_how,
    }
