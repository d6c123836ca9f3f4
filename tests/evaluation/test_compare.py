"""Comparison of runs and arms, bands of surfaces, and calibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from forensics.errors import ForensicsError
from forensics.evaluation import prepare
from forensics.evaluation.calibration import (
    Sample,
    brier,
    expected_calibration_error,
    fit,
    judged_detections,
    log_loss,
    precision_at_prevalence,
    reliability,
)
from forensics.evaluation.compare import Side, compare
from forensics.evaluation.levels import DETECTOR
from forensics.evaluation.replicates import ratio_band
from forensics.evaluation.rules import Rules
from forensics.evaluation.surface import surfaces
from forensics.types import OperatingPoint

from .helpers import NAN, Clip, boxes_truth, make_run, spans_truth

G = (0, 0, 10, 10)
POINT = OperatingPoint(0.5, 0.5)


def clips(alarms: dict[str, list[int]], n_frames: int = 60) -> list[Clip]:
    return [
        Clip(name, n_frames, fps=1, detections={i: [(G, 0.9, 0.9)] for i in frames})
        for name, frames in alarms.items()
    ]


TOLD = spans_truth(
    ("a.mp4", 0, 20, "none"), ("a.mp4", 20, 30, "gun"), ("a.mp4", 30, 60, "none"),
    ("b.mp4", 0, 60, "none"),
)  # fmt: skip


def test_two_runs_are_compared_frame_by_frame_whatever_their_order() -> None:
    first = make_run(*clips({"a.mp4": [3, 22], "b.mp4": [5]}))
    second = make_run(*reversed(clips({"a.mp4": [22, 50], "b.mp4": []})))
    found = compare(
        Side("old", prepare(first, TOLD), POINT), Side("new", prepare(second, TOLD), POINT)
    )
    table = found.disagreements
    rows = list(zip(table["path"], table["frame_index"], table["alarm_first"], strict=True))
    assert rows == [("a.mp4", 3, True), ("a.mp4", 50, False), ("b.mp4", 5, True)]
    assert found.incidents["both"] == 1 and found.incidents["only_first"] == 0
    rate = found.rates["frame_false_alarms_per_million"]
    assert rate.ratio.value == pytest.approx(0.5)
    assert rate.difference.value == pytest.approx(-1e6 / 110)
    assert found.to_json()["sides"] == ["old", "new"]


def test_runs_of_other_frames_or_rules_are_not_compared() -> None:
    full, half = make_run(*clips({"a.mp4": []})), make_run(*clips({"a.mp4": []}, 30))
    told = spans_truth(("a.mp4", 0, 60, "none"))
    with pytest.raises(ForensicsError, match="same frames"):
        compare(Side("x", prepare(full, told), POINT), Side("y", prepare(half, told), POINT))
    with pytest.raises(ForensicsError, match="different rules"):
        compare(
            Side("x", prepare(full, told), POINT),
            Side("y", prepare(full, told, Rules(gap_s=1)), POINT),
        )


def test_arms_at_equal_thresholds_are_called_a_tautology() -> None:
    prepared = prepare(make_run(*clips({"a.mp4": [3], "b.mp4": [4]})), TOLD)
    found = compare(Side("d", prepared, POINT, DETECTOR), Side("c", prepared, POINT))
    assert "subset" in found.note and len(found.disagreements) == 0


def test_bands_of_a_surface_hold_the_value_and_repeat() -> None:
    rng = np.random.default_rng(0)
    files = [
        Clip(
            f"{n}.mp4",
            50,
            fps=1,
            detections={
                i: [(G, float(rng.uniform(0.1, 1)), float(rng.uniform()))]
                for i in np.flatnonzero(rng.random(50) < 0.1 * (1 + n % 4))
            },
        )
        for n in range(10)
    ]
    told = spans_truth(*((clip.path, 0, 60, "none") for clip in files))
    grid = surfaces(
        prepare(make_run(*files), told), [0.1, 0.5], [0.2, 0.6], events=False, by_camera=True
    )
    terms = {"replicates": 500, "seed": 4}
    band = ratio_band(grid, "frame_fp", "n_negative", **terms)
    assert band.value.shape == (2, 3)
    assert np.all((band.low <= band.value) & (band.value <= band.high))
    assert np.array_equal(band.low, ratio_band(grid, "frame_fp", "n_negative", **terms).low)
    draws = np.random.default_rng(4).multinomial(10, np.full(10, 0.1), 500)
    for i, j in ((0, 0), (1, 2)):  # each point has levels of its own
        false = grid.counts["frame_fp"][:, i, j]
        count = false.sum() ** 2 / (false**2).sum()
        reach = stats.t.ppf(0.975, count - 1) * np.sqrt(count / (count - 1))
        tail = max(0.001, stats.norm.sf(reach))
        share = draws @ false / (draws @ grid.totals["n_negative"])
        limits = np.quantile(share, [tail, 1 - tail])
        assert (band.low[i, j], band.high[i, j]) == pytest.approx(tuple(limits))
    assert np.isnan(ratio_band(grid, "frame_tp", "n_positive", **terms).value).all()


def test_calibration_finds_the_weights_that_made_the_data() -> None:
    rng = np.random.default_rng(1)
    score, target = rng.uniform(0.01, 0.99, (2, 20_000))
    linear = -1 + 0.5 * np.log(score / (1 - score)) + 1.5 * np.log(target / (1 - target))
    hit = rng.random(20_000) < 1 / (1 + np.exp(-linear))
    model = fit(Sample(score, target, hit, np.zeros(20_000, np.int64)))
    assert (model.bias, model.detector, model.classifier) == pytest.approx((-1, 0.5, 1.5), abs=0.1)
    probability = model.probability(score, target)
    assert expected_calibration_error(probability, hit) < 0.015
    assert expected_calibration_error(target, hit) > 0.05
    assert brier(probability, hit).mean() < brier(target, hit).mean()
    assert log_loss(probability, hit).mean() < log_loss(target, hit).mean()
    table = reliability(probability, hit)
    assert len(table) == 10 and table["count"].sum() == 20_000


def test_only_judged_and_classified_detections_are_calibrated_on() -> None:
    far = (100, 0, 10, 10)
    found = {0: [(G, 0.9, 0.8), (far, 0.8, 0.1), (far, 0.7, NAN)], 1: [(G, 0.9, 0.9)]}
    run = make_run(Clip("a.mp4", 2, detections=found))
    sample = judged_detections(prepare(run, boxes_truth("a.mp4", {0: [G]})))
    assert sample.hit.tolist() == [True, False]
    assert len(sample.on([5]).hit) == 0
    with pytest.raises(ForensicsError, match="label more"):
        fit(sample.on([5]))


def test_undefined_calibration_figures_are_none() -> None:
    none, no_hits = np.zeros(0), np.zeros(0, np.bool_)
    assert expected_calibration_error(none, no_hits) is None
    assert precision_at_prevalence(0.5, 0.0, 0.1) is None
    assert precision_at_prevalence(0.9, 0.5, 0.01) == pytest.approx(1 / 12)
    assert precision_at_prevalence(1.0, 0.5, 0.01) == 1.0
