"""Where cameras happen to agree, a bootstrap of them shows no spread: that is not certainty."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from forensics.evaluation import prepare
from forensics.evaluation.evaluate import evaluate_prepared
from forensics.evaluation.paired import compare_rates
from forensics.evaluation.rates import (
    no_events_ratio,
    proportion_interval,
    rate_interval,
    wilson,
)
from forensics.evaluation.resampled import ratio_limits
from forensics.evaluation.result import most_alerts
from forensics.evaluation.rules import Rules
from forensics.evaluation.scored import scored_on
from forensics.evaluation.text import render
from forensics.types import OperatingPoint

from .helpers import Clip, make_run, spans_truth

HOW = {"confidence": 0.95, "replicates": 500, "seed": 1}
TEN = np.full(10, 100.0)
GUN, OTHER = (10, 10, 50, 50), (200, 200, 50, 50)


def only(first: float) -> np.ndarray:
    return np.array([first, *[0.0] * 9])


def test_a_share_equal_on_all_cameras_has_the_pooled_limits() -> None:
    found = proportion_interval(np.ones(3), np.full(3, 2.0), 0.95, 500, 1)
    assert (found.low, found.high) == pytest.approx(wilson(3, 6))
    assert "widened to the pooled Wilson limits" in found.method


def test_no_events_on_one_side_have_an_exact_upper_limit() -> None:
    found = no_events_ratio(19)
    test = binomtest(0, 19, alternative="less").proportion_ci(0.95, method="exact")
    assert found.high == pytest.approx(test.high / (1 - test.high))
    paired = compare_rates(np.full(10, 2.0), np.zeros(10), TEN, **HOW)
    assert paired.ratio.value == 0
    assert paired.ratio.high == pytest.approx(no_events_ratio(20).high)


def test_all_alarms_on_one_camera_give_no_interval() -> None:
    ratio = compare_rates(only(10), only(1), TEN, **HOW).ratio
    assert (ratio.value, ratio.low, ratio.high) == (pytest.approx(0.1), None, None)
    assert "all replicates" in ratio.method


def test_sides_without_any_event_give_no_interval() -> None:
    found = compare_rates(np.zeros(10), np.zeros(10), TEN, **HOW).difference
    assert (found.value, found.low, found.high) == (0, None, None)


def test_replicates_in_which_one_side_has_none_are_not_dropped() -> None:
    """a only on camera 1, b only on camera 2: b / a is infinite in a third of the replicates."""
    b = np.array([0, 50.0, *[0.0] * 8])
    ratio = compare_rates(only(10), b, TEN, **HOW).ratio
    assert ratio.high is None and "no upper limit" in ratio.method


def test_limits_of_a_ratio() -> None:
    levels = np.array([0.25, 0.75])
    top, bottom = np.array([1.0, 2, 3, 4, 0]), np.array([1.0, 1, 1, 1, 0])
    assert ratio_limits(top, bottom, levels) == (1.0, 3.0)  # of the four that are defined
    assert ratio_limits(top, np.array([1.0, 1, 0, 0, 0]), levels) == (1.0, None)
    assert ratio_limits(np.ones(4), np.ones(4), levels) == (None, None)
    assert ratio_limits(np.zeros(4), np.zeros(4), levels) == (None, None)


def cameras(false: int) -> list[Clip]:
    """Ten cameras with a gun of a second each; the detector alone raises `false` + c % 3 more."""
    clips = []
    for c in range(10):
        found = {f: [(GUN, 0.9, 0.9)] for f in range(100, 110)}
        found |= {f: [(OTHER, 0.95, 0.1)] for f in range(false + c % 3)}
        clips.append(Clip(f"c{c}.mp4", n_frames=300, camera=f"c{c}", detections=found))
    return clips


def prepared_cameras():
    spans = [
        (f"c{c}.mp4", *span)
        for c in range(10)
        for span in ((0, 10, "none"), (10, 11, "gun"), (11, 30, "none"))
    ]
    return prepare(make_run(*cameras(1)), spans_truth(*spans), Rules())


def test_a_cascade_without_false_alarms_is_not_certain_to_have_none() -> None:
    result = evaluate_prepared(prepared_cameras())
    matched = result.to_json()["matched_recall"]
    interval = matched["false_alarm_ratio_interval"]
    assert interval["value"] == 0 and interval["high"] > 0.1
    assert "binomial" in interval["method"]
    difference = result.to_json()["matched_false_alarms"]["recall_difference_interval"]
    assert difference["value"] == 1 and difference["low"] is None
    assert "0 [0, 0]" not in render(result.to_json())


@pytest.mark.parametrize(("gap_s", "most"), [(5.0, 2 * (299.9 / 5 + 1)), (0.0, 6000)])
def test_rates_of_alerts_end_where_no_more_have_room(gap_s: float, most: float) -> None:
    """Two cameras of 300 s at 10 frames per second, one with an alert, the other with twelve."""
    every = {f: [(OTHER, 0.9, 0.9)] for f in range(0, 3000, 250)}
    run = make_run(
        Clip("a.mp4", n_frames=3000, camera="a", detections={0: every[0]}),
        Clip("b.mp4", n_frames=3000, camera="b", detections=every),
    )
    told = spans_truth(("a.mp4", 0, 300, "none"), ("b.mp4", 0, 300, "none"))
    prepared = prepare(run, told, Rules(gap_s=gap_s))
    hour = evaluate_prepared(prepared).arms["cascade"]["event"]["false_alerts_per_camera_hour"]
    assert hour["value"] == pytest.approx(13 / (600 / 3600))
    whole = rate_interval(np.array([1.0, 12]), np.full(2, 300 / 3600))
    assert whole.high > 10_000
    assert hour["high"] == pytest.approx(min(most / (600 / 3600), whole.high))
    assert hour["low"] == pytest.approx(whole.low)
    day = scored_on(prepared, OperatingPoint(0.5, 0.5), [0, 1])["false_alerts_per_camera_day"]
    assert day["high"] == pytest.approx(24 * hour["high"])
    assert ("more than the gap apart" in day["method"]) == (hour["high"] < whole.high)


def test_no_footage_has_more_alerts_than_room() -> None:
    """An alarm on every frame that can: as many alerts as fit, and the bound holds them."""
    for gap_s in (0.05, 0.35, 2.0):
        step = int(gap_s * 10) + 1  # the least number of frames that is more than the gap
        found = {f: [(OTHER, 0.9, 0.9)] for f in range(0, 600, step)}
        run = make_run(Clip("a.mp4", n_frames=600, detections=found))
        told = spans_truth(("a.mp4", 0, 20, "none"), ("a.mp4", 20, 30, "gun"),
                           ("a.mp4", 30, 60, "none"))  # fmt: skip
        prepared = prepare(run, told, Rules(gap_s=gap_s, collar_s=0))
        false = evaluate_prepared(prepared).arms["cascade"]["event"]["false_alerts"]
        assert 0 < false <= most_alerts(prepared).sum() <= 1.3 * 600 / step


def test_rates_of_frames_end_at_all_of_them() -> None:
    few = {f: [(OTHER, 0.9, 0.9)] for f in range(3)}
    run = make_run(Clip("a.mp4", n_frames=30, detections=few), Clip("b.mp4", n_frames=3000))
    prepared = prepare(
        run, spans_truth(("a.mp4", 0, 3, "none"), ("b.mp4", 0, 300, "none")), Rules()
    )
    scored = scored_on(prepared, OperatingPoint(0.5, 0.5), [0, 1])
    assert scored["false_alarms_per_million"]["high"] == 1e6
