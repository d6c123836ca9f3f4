"""A choice of thresholds as a table for people."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from forensics.evaluation.goals import RECALL
from forensics.evaluation.grid import typed
from forensics.evaluation.text import WIDTH, plain_console, thresholds
from forensics.evaluation.text_numbers import interval, number

Figures = Mapping[str, Any]


def render_choice(choice: Figures, written: Figures | None) -> str:
    """Lay out the JSON of a choice as plain text, `n/a` where a figure is not defined."""
    stream = io.StringIO()
    console = plain_console(stream)
    print_lines(console, _heading(choice))
    console.print(_figures(choice))
    print_lines(console, _cameras(choice))
    title = "What is promised:" if choice["promised"] else "What this is worth (NO GUARANTEE):"
    print_lines(console, [title, *(f"  - {line}" for line in choice["scope"])])
    if choice["notes"]:
        print_lines(console, ["What these figures cannot say:"])
        print_lines(console, [f"  - {note}" for note in choice["notes"]])
    if written:
        print_lines(console, [f"written: {written['folder']} (cascade {written['sha256'][:16]})"])
    return stream.getvalue()


def print_lines(console: Console, lines: Sequence[str]) -> None:
    """Print, breaking long lines between words, with hanging indents for list items."""
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip(" -")))
        for part in textwrap.wrap(
            line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ):
            console.print(part, soft_wrap=True)


def _heading(choice: Figures) -> list[str]:
    point = choice["operating_point"]
    kept = choice["on_test"]
    lines = [
        f"goal: {choice['goal']['words']}",
        f"chosen: {thresholds(point)}",
    ]
    if choice["bound"] is not None:
        side = "lower" if choice["goal"]["unit"] == RECALL else "upper"
        lines.append(
            f"limit on the calibration cameras ({side}): {number(choice['bound'])}; "
            f"{len(choice['path'])} pairs were looked at"
        )
    verdict = _verdict(choice["goal"], kept)
    return [*lines, f"on the test cameras: {verdict}"]


def _verdict(goal: Figures, figures: Figures) -> str:
    key = {
        RECALL: "recall",
        "per camera-day": "false_alerts_per_camera_day",
        "per million frames": "false_alarms_per_million",
    }[goal["unit"]]
    value = figures[key]["value"]
    if value is None:
        return "cannot be checked, nothing there bears on the goal"
    fine = value >= goal["value"] if goal["unit"] == RECALL else value <= goal["value"]
    return f"{number(value)} {goal['unit']}, {'within' if fine else 'OUTSIDE'} the goal"


def _figures(choice: Figures) -> Table:
    columns = {
        "chosen, calibration": choice["on_calibration"],
        "chosen, test": choice["on_test"],
        "as scanned, test": choice["scanned_on_test"],
    }
    table = Table(title="Scored with intervals between cameras", title_justify="left")
    table.add_column("figure")
    for name in columns:
        table.add_column(name, justify="right")
    for label, cell in _ROWS:
        table.add_row(label, *(cell(figures) for figures in columns.values()))
    return table


def _point(figures: Figures) -> str:
    point = figures["operating_point"]
    return f"{typed(point['detector'])} / {typed(point['classifier'])}"


def _both(figures: Figures, first: str, second: str) -> str:
    return f"{number(figures[first])} / {number(figures[second])}"


def _false_frames(figures: Figures) -> str:
    return _both(figures, "false_alarm_frames", "frames_negative")


_ROWS: tuple[tuple[str, Any], ...] = (
    ("detector / classifier threshold", _point),
    ("cameras", lambda f: number(f["cameras"])),
    ("found / positives", lambda f: f"{_both(f, 'found', 'positives')} {f['recall_of']}"),
    ("recall", lambda f: interval(f["recall"])),
    ("precision", lambda f: interval(f["precision"])),
    ("camera-days without a target", lambda f: number(f["camera_days_negative"])),
    ("false alerts", lambda f: number(f["false_alerts"])),
    ("false alerts per camera-day", lambda f: interval(f["false_alerts_per_camera_day"])),
    ("false alarm frames / negative frames", _false_frames),
    ("false alarm frames per million", lambda f: interval(f["false_alarms_per_million"])),
)


def _cameras(choice: Figures) -> list[str]:
    terms = choice["terms"]
    how = "named" if terms["calibration"] else f"share {terms['share']:g}, seed {terms['seed']}"
    return [
        f"calibration cameras ({how}): {', '.join(choice['calibration'])}",
        f"test cameras: {', '.join(choice['test'])}",
    ]
