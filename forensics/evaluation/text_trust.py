"""Other views of the arms, and how well scores are calibrated, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from forensics.evaluation.text_numbers import interval, number

SCORES = (
    ("detector", "detector score"),
    ("classifier", "classifier score"),
    ("both", "both, fitted on other cameras"),
)
Figures = Mapping[str, Any]


def other_views(arms: Figures) -> Table:
    """The strict view of ActEV and precision at assumed prevalences, a column for each arm."""
    present = {name: arm for name, arm in arms.items() if arm is not None}
    table = Table(title="By other rules", title_justify="left")
    table.add_column("figure")
    for name in present:
        table.add_column(name, justify="right")
    for label, key in (
        ("strict ActEV: matched / missed / false alerts", ("matched", "missed", "false")),
        ("strict ActEV: false alerts per minute", ("rate_per_minute",)),
        ("strict ActEV: share of time falsely alerted", ("time_share",)),
    ):
        views = [arm["strict_actev"] or {} for arm in present.values()]
        table.add_row(label, *(" / ".join(number(v.get(name)) for name in key) for v in views))
    table.add_section()
    precisions = [arm["frame_precision_at_prevalence"] for arm in present.values()]
    for row in zip(*precisions, strict=True):
        one_in = f"{1 / row[0]['prevalence']:,.0f}"
        label = f"frame precision, if 1 frame in {one_in} has a target"
        table.add_row(label, *(number(each["precision"]) for each in row))
    return table


def calibration(figures: Figures) -> Table:
    """Brier score, log loss and calibration error of the scores; the reason where undefined."""
    title = f"Do the scores mean what they say? {_sample(figures)}"
    table = Table(title=title, title_justify="left")
    table.add_column("taken as the probability of a target")
    for name in ("Brier score", "log loss", "calibration error"):
        table.add_column(name, justify="right")
    for key, label in SCORES:
        found = figures[key]
        if found is None:
            table.add_row(label, "n/a", "n/a", "n/a")
            continue
        losses = (interval(found[name]) for name in ("brier", "log_loss"))
        table.add_row(label, *losses, number(found["expected_calibration_error"]))
    return table


def calibration_methods(figures: Figures) -> list[str]:
    """How the calibration's intervals were made, and why what is missing is."""
    found = [figures[key] for key, _ in SCORES if figures[key] is not None]
    ways = [each[name]["method"] for each in found for name in ("brier", "log_loss")]
    if figures["both_undefined"] and not figures["undefined"]:
        ways.append(f"both scores n/a: {figures['both_undefined']}")
    return [f"calibration: {words}" for words in dict.fromkeys(ways)]


def _sample(figures: Figures) -> str:
    if figures["undefined"]:
        return f"n/a: {figures['undefined']}"
    some = f", 1 in {figures['every']} of the log's" if figures["every"] > 1 else ""
    return f"{number(figures['detections'])} detections{some}, {number(figures['hits'])} hits"
