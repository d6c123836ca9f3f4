"""The explorer of an open report: its figures, and whether they are those of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forensics.report import wording
from forensics.report.explorer import LEDGER, LINES
from forensics.types import OperatingPoint

PRINT = {"share": wording.percent, "rate": wording.number, "count": wording.count}
Figures = Mapping[str, Any]


def figure(result: Figures, arm: str, key: str) -> Any:
    """The value of a line in the JSON of `evaluate`."""
    if key.startswith("removal."):
        _, level, name = key.split(".")
        before = result["arms"]["detector"][level]
        unit = "alerts_per_camera_hour" if level == "event" else "alarms_per_million"
        rate = before[f"false_{unit}"]
        undefined = rate["value"] is None if name == "fp_removed" else before["recall"] is None
        return None if undefined or not result["removal"] else result["removal"][level][name]
    found = result["arms"][arm]
    for part in key.replace("camera_day", "camera_hour").split("."):
        found = None if found is None else found[part]
    value = found["value"] if isinstance(found, Mapping) else found
    return value * 24 if key.endswith("camera_day") and value is not None else value


def shown(page: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """Figure and small print of every cell, by arm and key."""
    cells = page.evaluate(
        """[...document.querySelectorAll("#explorer [data-figure]")].map((cell) => [
            cell.dataset.arm, cell.dataset.figure,
            cell.children[0].textContent, cell.children[1]?.textContent ?? ""])"""
    )
    return {(arm, key): (text, below) for arm, key, text, below in cells}


def assert_equal(page: Any, result: Figures) -> None:
    """Every figure on the page is that of `result`; what is undefined there is a dash with why."""
    cells = shown(page)
    arms = ["detector", "cascade"] if ("cascade", LINES[0].key) in cells else ["detector"]
    wanted = [(arm, line) for arm in arms for line in LINES]
    wanted += [("removal", line) for line in LEDGER if len(arms) > 1]
    assert len(cells) == len(wanted)
    for arm, line in wanted:
        value = figure(result, arm, line.key)
        text, below = cells[arm, line.key]
        if value is None:
            assert text == wording.UNDEFINED and len(below) > 10, (arm, line.key)
        else:
            assert text == PRINT[line.style](value), (arm, line.key)
            assert below == under(result, arm, line.key), (arm, line.key)


def under(result: Figures, arm: str, key: str) -> str:
    """The small print of a defined figure."""
    if key == "event.recall":
        event = result["arms"][arm]["event"]
        return f"{wording.count(event['detected'])} of {wording.count(event['incidents'])}"
    if key != "frame.false_alarms_per_million":
        return ""
    interval = result["arms"][arm]["frame"]["false_alarms_per_million"]
    low, high = (wording.number(interval[name]) for name in ("low", "high"))
    return f"{low} to {high}" if interval["value"] else f"at most {high}"


def go(page: Any, detector: int, classifier: int | None = None) -> OperatingPoint:
    """Move the sliders to these places; the pair of thresholds that the page then names."""
    page.locator("#at-detector").fill(str(detector))
    if classifier is not None:
        page.locator("#at-classifier").fill(str(classifier))
    return point_of(page)


def point_of(page: Any) -> OperatingPoint:
    detector = float(page.locator("#detector-value").inner_text())
    slider = page.locator("#classifier-value")
    classifier = slider.inner_text() if slider.count() else "off"
    return OperatingPoint(detector, None if classifier == "off" else float(classifier))
