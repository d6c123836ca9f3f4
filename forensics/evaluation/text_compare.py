"""A comparison as plain text for people."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from forensics.evaluation.grid import typed
from forensics.evaluation.text import levels, methods, plain_console, thresholds
from forensics.evaluation.text_numbers import interval, number
from forensics.evaluation.text_threshold import print_lines

Figures = Mapping[str, Any]
SHOWN_FILES = 10
SHOWN_DISAGREEMENTS = 20


def render_comparison(result: Figures) -> str:
    """Lay out the JSON of a comparison, `n/a` where a figure is not defined; long lists are cut."""
    stream = io.StringIO()
    console = plain_console(stream)
    print_lines(console, [*_runs(result), *_footage(result["footage"])])
    arms = _arms(result["evaluations"])
    console.print(levels(arms))
    console.print(_removal(result["evaluations"]))
    console.print(_paired(result["comparison"]))
    print_lines(console, _tests(result["comparison"]))
    print_lines(console, _matched(result["matched"]))
    _print_disagreements(console, result["disagreements"], result["comparison"]["sides"])
    print_lines(console, ["How the intervals were made:"])
    print_lines(console, [f"  - {line}" for line in _methods(result, arms)])
    print_lines(console, ["What these figures cannot say:"])
    print_lines(console, [f"  - {note}" for note in _notes(result)])
    return stream.getvalue()


def _runs(result: Figures) -> list[str]:
    lines = []
    for name, run in result["runs"].items():
        point = result["evaluations"][name]["operating_point"]
        cascade = run["cascade"]
        engine = " ".join(str(run[key]) for key in ("backend", "precision") if run[key])
        if run["arithmetic"]:
            engine += f" weights, computed in {run['arithmetic']}"
        lines.append(
            f"{name}: {run['folder']}, cascade {cascade.get('name')} {cascade.get('version')} "
            f"({engine}), {thresholds(point)}"
        )
    return lines


def _footage(footage: Figures) -> list[str]:
    lines = [f"files compared: {number(footage['media_compared'])}"]
    left_out = footage["left_out"]
    if not left_out:
        return lines
    lines.append(f"left out: {number(len(left_out))}")
    for row in left_out[:SHOWN_FILES]:
        lines.append(f"  - {row['path']} (run {row['run'].upper()}): {row['reason']}")
    if len(left_out) > SHOWN_FILES:
        lines.append(f"  - and {number(len(left_out) - SHOWN_FILES)} more: see --format json")
    return lines


def _arms(evaluations: Figures) -> dict[str, Any]:
    if len(evaluations) == 1:
        return dict(next(iter(evaluations.values()))["arms"])
    return {
        f"{run} {arm}": figures
        for run, evaluation in evaluations.items()
        for arm, figures in evaluation["arms"].items()
    }


def _removal(evaluations: Figures) -> Table:
    table = Table(title="Removed by the classifier, at the same threshold", title_justify="left")
    for name in ("run", "level", "false removed", "true lost"):
        table.add_column(name, justify="left" if name in {"run", "level"} else "right")
    for run, evaluation in evaluations.items():
        for level, counts in (evaluation["removal"] or {}).items():
            cells = (number(counts[key]) for key in ("fp_removed", "tp_lost"))
            table.add_row(run, level, *cells)
    return table


def _paired(comparison: Figures) -> Table:
    first, second = comparison["sides"]
    table = Table(title=f"{second} against {first}, paired by camera", title_justify="left")
    table.add_column("rate")
    for name in (f"{second} - {first}", f"{second} / {first}", "p"):
        table.add_column(name, justify="right")
    for name, paired in comparison["rates"].items():
        table.add_row(
            name.replace("_", " "),
            interval(paired["difference"]),
            interval(paired["ratio"]),
            number(paired["p_value"]),
        )
    return table


def _tests(comparison: Figures) -> list[str]:
    first, second = comparison["sides"]
    pairs = comparison["incidents"]
    tests = dict.fromkeys(paired["test"] for paired in comparison["rates"].values())
    return [
        f"incidents found by both {pairs['both']}, only {first} {pairs['only_first']}, "
        f"only {second} {pairs['only_second']}, neither {pairs['neither']}",
        f"p: {'; '.join(tests)}",
        f"note: {comparison['note']}",
    ]


def _matched(figures: Figures) -> list[str]:
    moved, kept = figures["moved"], figures["kept"]
    recall, budget = figures["recall"], figures["false_alarms"]
    level = figures["level"].removesuffix("s")
    lines = [f"At equal {level} recall ({moved} moves its detector threshold):"]
    if recall["undefined"]:
        lines.append(f"  n/a: {recall['undefined']}")
    else:
        lines.append(
            f"  {moved} at {typed(recall['detector_threshold'])}: "
            f"{_alarms(recall, moved)} false alarm frames; {kept}: {_alarms(recall, kept)}; "
            f"ratio {kept} / {moved} {interval(recall['false_alarm_ratio'])}"
        )
    lines.append(f"At no more false alarm frames than {kept}:")
    if budget["undefined"]:
        return [*lines, f"  n/a: {budget['undefined']}"]
    pairs = budget["incidents"]
    return [
        *lines,
        f"  {moved} at {typed(budget['detector_threshold'])}: recall "
        f"{_recall(budget, moved, figures['level'])}; {kept}: "
        f"{_recall(budget, kept, figures['level'])}; difference {kept} - {moved} "
        f"{interval(budget['recall_difference'])}",
        f"  incidents found only by {moved} {pairs['only_first']}, only by {kept} "
        f"{pairs['only_second']}; McNemar p {number(pairs['mcnemar_p_value'])}",
    ]


def _alarms(figures: Figures, name: str) -> str:
    return number(figures["figures"][name]["false_alarm_frames"])


def _recall(figures: Figures, name: str, level: str) -> str:
    key = "incident_recall" if level == "incidents" else "frame_recall"
    return number(figures["figures"][name][key])


def _print_disagreements(console: Console, rows: Sequence[Figures], sides: Sequence[str]) -> None:
    counts = [
        f"{sum(r['alarmed_by'] == side and r['outcome'] == kind for r in rows):,} {kind}s only of "
        f"{side}"
        for side in sides
        for kind in ("true alarm", "false alarm")
    ]
    table = Table(title="Frames on which only one side alarms", title_justify="left")
    for name in ("file", "frame", "time, s", "alarm by", "outcome"):
        table.add_column(name, justify="right" if name in {"frame", "time, s"} else "left")
    for row in rows[:SHOWN_DISAGREEMENTS]:
        time_s = "n/a" if row["time_s"] is None else f"{row['time_s']:.3f}"
        cells = (row["path"], str(row["frame_index"]), time_s, row["alarmed_by"], row["outcome"])
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    if rows:
        console.print(table)
    more = (
        f" (the first {SHOWN_DISAGREEMENTS} shown; --format json has all)"
        if len(rows) > SHOWN_DISAGREEMENTS
        else ""
    )
    print_lines(console, [f"disagreements: {len(rows):,} frames{more}; {', '.join(counts)}"])


def _methods(result: Figures, arms: Figures) -> list[str]:
    seen = dict.fromkeys(methods(arms))
    for paired in result["comparison"]["rates"].values():
        seen |= dict.fromkeys(paired[key]["method"] for key in ("difference", "ratio"))
    matched = result["matched"]
    for part, key in (("recall", "false_alarm_ratio"), ("false_alarms", "recall_difference")):
        seen[matched[part][key]["method"]] = None
    return list(seen)


def _notes(result: Figures) -> list[str]:
    seen = dict.fromkeys(result["notes"])
    for evaluation in result["evaluations"].values():
        seen |= dict.fromkeys(evaluation["notes"])
    return list(seen)
