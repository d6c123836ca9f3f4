"""The explorer of an open report: its figures, and whether they are those of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from forensics.report import wording
from forensics.report.equal import NEITHER, NONE_RAISED
from forensics.report.explorer import LEDGER, LINES, NO_NEGATIVE
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

    if len(arms) > 1:
        assert_matched(page, result["matched_recall"])


def assert_matched(page: Any, matched: Figures | None, level: str | None = None) -> None:
    """The detector alone at equal recall is that of `matched` (None: the classifier is off).

    `matched` is as `evaluate` says it; `level` is what to select, by default what is selected.
    """
    chosen = page.locator("#front-level")
    if level is not None:
        chosen.select_option(level)
    cells, text = equal_shown(page), page.locator("#equal-text").inner_text()
    assert matched is None or matched["level"] == chosen.input_value()
    why = "the classifier is switched off" if matched is None else matched["undefined"]
    if not why and matched and matched["detector"]["false_alarms_per_million"] is None:
        why = NO_NEGATIVE
    if matched is None or why:
        assert text == f"A comparison at equal recall cannot be made: {why}."
        assert cells.pop(("cascade", "threshold"))[0] != wording.UNDEFINED
        assert set(cells.values()) == {(wording.UNDEFINED, why)}
        return
    alone, own = matched["detector"], matched["cascade"]
    frames = alone["false_alarm_frames"], own["false_alarm_frames"]
    wanted = np.float32(matched["detector_threshold"])
    assert np.float32(cells["detector", "threshold"][0]) == wanted
    for arm, figures in (("detector", alone), ("cascade", own)):
        assert cells[arm, "recall"][0] == wording.percent(matched["recall"])
        assert cells[arm, "false"][0] == wording.count(figures["false_alarm_frames"])
        assert cells[arm, "rate"][0] == wording.number(figures["false_alarms_per_million"])
    assert f": {wording.count(frames[0])} false-alarm frame" in text
    if frames[1]:
        factor = wording.number(frames[0] / frames[1])
        assert cells["detector", "factor"][0] == factor
        same = "just as many as the cascade"
        assert text.endswith(
            f"{same}." if frames[0] == frames[1]
            else f"{factor} times as many as the cascade's {wording.count(frames[1])}."
        )  # fmt: skip
        ratio = matched["false_alarm_ratio"]
        assert ratio is None if not frames[0] else ratio == pytest.approx(frames[1] / frames[0])
    else:
        why = NONE_RAISED if frames[0] else NEITHER
        assert cells["detector", "factor"] == (wording.UNDEFINED, why) and text.endswith(f"{why}.")


def equal_shown(page: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """Figure and small print of the table at equal recall, by arm and row."""
    cells = page.evaluate(
        """[...document.querySelectorAll("#explorer [data-equal]")].map((cell) => [
            cell.dataset.arm, cell.dataset.equal,
            cell.children[0].textContent, cell.children[1]?.textContent ?? ""])"""
    )
    return {(arm, key): (text, below) for arm, key, text, below in cells}


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
