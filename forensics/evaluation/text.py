"""An evaluation's JSON as a table for people."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from forensics.evaluation.grid import typed
from forensics.evaluation.text_numbers import interval, number
from forensics.evaluation.text_trust import calibration, calibration_methods, other_views

WIDTH = 110
Figures = Mapping[str, Any]


def render(result: Figures, brief: bool = False) -> str:
    """Lay out the JSON of an evaluation as plain text, `n/a` where a figure is not defined.

    `brief` leaves out the other views and the calibration.
    """
    stream = io.StringIO()
    console = plain_console(stream)
    console.print(_heading(result))
    console.print(_denominators(result["denominators"]))
    console.print(levels(result["arms"]))
    console.print(_comparison(result))
    if not brief:
        for table in (other_views(result["other_views"]), calibration(result["calibration"])):
            console.print(table)
    console.print("How the intervals were made:")
    ways = [*methods(result["arms"]), *_matching(result)]
    for line in ways if brief else [*ways, *calibration_methods(result["calibration"])]:
        console.print(Text(f"  {line}"))
    if result["notes"]:
        console.print("What these figures cannot say:")
        for note in result["notes"]:
            console.print(Text(f"  - {note}"))
    return stream.getvalue()


def plain_console(stream: io.StringIO) -> Console:
    """A console that writes plain text to `stream`, in a notebook too."""
    return Console(
        file=stream, width=WIDTH, color_system=None, highlight=False, markup=False,
        force_jupyter=False,
    )  # fmt: skip


def _heading(result: Figures) -> str:
    point, rules = result["operating_point"], result["rules"]
    return (
        f"{thresholds(point)}; "
        f"IoU {rules['iou']:g}, gap {rules['gap_s']:g} s, collar {rules['collar_s']:g} s, "
        f"confirmation {rules['confirm']}, unlabelled frames: {rules['unlabelled']}"
    )


def thresholds(point: Figures) -> str:
    """An operating point in words; typed as written, it counts the same."""
    return (
        f"detector threshold {typed(point['detector'])}, "
        f"classifier threshold {typed(point['classifier'])}"
    )


def _denominators(figures: Figures) -> Table:
    table = Table(title="What was judged", title_justify="left")
    for name in ("", "value"):
        table.add_column(name, justify="right" if name else "left")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), number(value))
    return table


def levels(arms: Figures) -> Table:
    """Counts and figures of arms (by name) at the three levels."""
    present = {name: arm for name, arm in arms.items() if arm is not None}
    table = Table(title="Both arms", title_justify="left")
    table.add_column("level")
    table.add_column("figure")
    for name in present:
        table.add_column(name, justify="right")
    before = None
    for level, label, *cells in level_rows(present):
        if before not in (None, level):
            table.add_section()
        before = level
        table.add_row(level, label, *cells)
    return table


def level_rows(arms: Figures) -> list[tuple[str, ...]]:
    """Level, figure, and what it is for each arm, in words."""
    return [
        (level, label, *(cell(arm[level]) for arm in arms.values()))
        for level in ("box", "frame", "event")
        for label, cell in _ROWS[level]
    ]


def _comparison(result: Figures) -> Table:
    table = Table(title="What the classifier buys", title_justify="left", show_header=False)
    table.add_column()
    table.add_column()
    for level, counts in (result["removal"] or {}).items():
        table.add_row(
            f"removed at {level} level",
            f"{number(counts['fp_removed'])} false, {number(counts['tp_lost'])} true",
        )
    for key, text in (("matched_recall", _same_recall), ("matched_false_alarms", _same_alarms)):
        if result[key] is not None:
            table.add_row(key.replace("_", " "), text(result[key]))
    if result["envelope"] and not result["envelope"]["undefined"]:
        table.add_row("best of all thresholds", _envelope(result["envelope"]))
    return table


def _envelope(figures: Figures) -> str:
    area = figures["area"]
    return (
        f"mean recall within up to {number(figures['false_alarms_per_million_max'])} false alarms "
        f"per million frames: detector alone {number(area['detector'])}, both thresholds free "
        f"{number(area['cascade'])}; {figures['label'].split(':')[0]}, as found on this footage"
    )


def _same_recall(figures: Figures) -> str:
    if figures["undefined"]:
        return f"n/a: {figures['undefined']}"
    alone, cascade = figures["detector"], figures["cascade"]
    return (
        f"at {figures['level']} recall {number(figures['recall'])} the detector alone needs "
        f"threshold {typed(figures['detector_threshold'])}: "
        f"{number(alone['false_alarm_frames'])} false alarm frames against "
        f"{number(cascade['false_alarm_frames'])} of the cascade "
        f"(ratio {interval(figures['false_alarm_ratio_interval'])})"
    )


def _same_alarms(figures: Figures) -> str:
    if figures["undefined"]:
        return f"n/a: {figures['undefined']}"
    key = "incident_recall" if figures["level"] == "event" else "frame_recall"
    return (
        f"with at most {number(figures['cascade']['false_alarm_frames'])} false alarm frames the "
        f"detector alone (threshold {typed(figures['detector_threshold'])}) has "
        f"{figures['level']} recall {number(figures['detector'][key])} against "
        f"{number(figures['cascade'][key])} of the cascade "
        f"(difference {interval(figures['recall_difference_interval'])})"
    )


def methods(arms: Figures) -> list[str]:
    """How the intervals of arms were made, each way once."""
    seen: dict[str, None] = {}
    for arm in arms.values():
        for level in ("box", "frame", "event"):
            for value in (arm or {}).get(level, {}).values():
                if isinstance(value, Mapping) and "method" in value:
                    seen[value["method"]] = None
    return list(seen)


def _matching(result: Figures) -> list[str]:
    """How the intervals of the matched comparison were made, each way once."""
    pairs = (("matched_recall", "false_alarm_ratio"), ("matched_false_alarms", "recall_difference"))
    found = [result[key][f"{name}_interval"]["method"] for key, name in pairs if result[key]]
    return [f"matched: {words}" for words in dict.fromkeys(found)]


def _counts(*names: str) -> Any:
    return lambda figures: " / ".join(number(figures[name]) for name in names)


def _limits(name: str) -> Any:
    return lambda figures: interval(figures[name])


_SHARES = (("precision", _limits("precision_interval")), ("recall", _limits("recall_interval")))
_ROWS: dict[str, tuple[tuple[str, Any], ...]] = {
    "box": (
        ("tp / fp / fn", _counts("tp", "fp", "fn")),
        *_SHARES,
        ("false boxes per million frames", _limits("false_alarms_per_million")),
    ),
    "frame": (
        ("tp / fp / fn / tn", _counts("tp", "fp", "fn", "tn")),
        *_SHARES,
        ("localised recall", lambda figures: number(figures["localised"]["recall"])),
        ("false alarms per million frames", _limits("false_alarms_per_million")),
    ),
    "event": (
        ("detected / incidents", _counts("detected", "incidents")),
        ("alerts / false / repeat", _counts("alerts", "false_alerts", "repeat_alerts")),
        *_SHARES,
        ("false alerts per camera-hour", _limits("false_alerts_per_camera_hour")),
        ("median latency, s", lambda figures: number(figures["latency_s"]["median"])),
    ),
}
