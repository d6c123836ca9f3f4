"""Put a report together: run and truth in, one self-contained HTML page out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from forensics.errors import ForensicsError, RunLogError
from forensics.evaluation.rules import Rules, run_operating_point, run_rules
from forensics.report import provenance, wording
from forensics.report.compose import Composer, TruthInput
from forensics.report.evidence import Progress
from forensics.report.model import Options
from forensics.runlog.reader import RunTables
from forensics.runlog.writer import write_bytes
from forensics.truth.load import load_truth
from forensics.types import OperatingPoint


def read_truth(paths: Sequence[Path], truth_format: str | None = None) -> TruthInput:
    """Read truth and hash its files."""
    labels = load_truth(paths, truth_format)
    return TruthInput(labels, provenance.hash_truth(paths, labels.sources), truth_format)


def write_report(
    run: RunTables,
    out: Path,
    truth: TruthInput | None = None,
    *,
    point: OperatingPoint | None = None,
    rules: Rules | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the report of a run to `out`; return its size in bytes."""
    page = build_report(
        run, truth, point=point, rules=rules, options=options, progress=progress
    ).encode()
    try:
        write_bytes(page, out)
    except (RunLogError, OSError) as error:
        raise ForensicsError(f"cannot write the report to {out}; choose --out") from error
    return len(page)


def build_report(
    run: RunTables,
    truth: TruthInput | None = None,
    *,
    point: OperatingPoint | None = None,
    rules: Rules | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> str:
    """The report as HTML: judged against truth if there is one, else for an investigator."""
    maker = Composer(run, point or run_operating_point(run), options or Options(), progress)
    rules = rules or run_rules(run)
    page = maker.without_truth(rules) if truth is None else maker.with_truth(truth, rules)
    return _environment().get_template("report.html.j2").render(page)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("forensics.report"),
        autoescape=True,
        finalize=wording.clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json_block"] = json_block
    environment.filters["count"] = wording.count
    environment.filters["plural"] = wording.plural
    environment.filters["hours"] = wording.hours
    return environment


def json_block(value: Any) -> Markup:
    """JSON that can stand inside a script element: no character there can end it."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704 - the characters that matter are escaped just above
