"""Limits of the matched comparison equal a literal search for the threshold in every replicate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from forensics.evaluation import prepare
from forensics.evaluation.evaluate import evaluate_prepared
from forensics.evaluation.fair import matched_false_alarms, matched_recall
from forensics.evaluation.levels import CASCADE, DETECTOR, count_arm
from forensics.evaluation.result import per_camera
from forensics.evaluation.rules import Rules
from forensics.evaluation.text import render
from forensics.types import OperatingPoint

from .helpers import Clip, make_run, spans_truth

G = (0, 0, 10, 10)
POINT = OperatingPoint(0.3, 0.5)
RULES = Rules(replicates=77, seed=6)  # no quantile falls between two of them


def world(seed: int, cameras: int = 9):
    """Clips with alarms of chance; most have an incident, and the classifier knows it a little."""
    rng = np.random.default_rng(seed)
    clips, told = [], []
    for number in range(cameras):
        found = {}
        for frame in np.flatnonzero(rng.random(60) < rng.uniform(0.1, 0.6)).tolist():
            gun = 20 <= frame < 30
            target = rng.beta(4, 2) if gun else rng.beta(2, 4)
            found[frame] = [(G, round(float(rng.uniform(0.1, 1)), 2), float(target))]
        name = f"{number}.mp4"
        clips.append(Clip(name, 60, fps=1, camera=f"c{number}", detections=found))
        label = "gun" if number % 4 else "none"
        told += [(name, 0, 20, "none"), (name, 20, 30, label), (name, 30, 60, "none")]
    return prepare(make_run(*clips), spans_truth(*told), RULES)


def by_camera(prepared, threshold: float):
    arm = count_arm(prepared, OperatingPoint(threshold, None), DETECTOR)
    return per_camera(prepared, arm.event.detected), per_camera(prepared, arm.frame.fp)


def literal(prepared, cascade):
    """Ratio at recall and difference at false alarms of each replicate, and their lower levels."""
    tried = [*np.unique(prepared.log.score).tolist(), 1.0]
    counts = [by_camera(prepared, threshold) for threshold in tried]
    hits_b = per_camera(prepared, cascade.event.detected)
    false_b = per_camera(prepared, cascade.frame.fp)
    total = per_camera(prepared, cascade.event.incidents)
    n = len(total)
    draws = np.random.default_rng(RULES.seed).multinomial(n, np.full(n, 1 / n), RULES.replicates)
    ratios, differences, sizes = [], [], []
    for w in (np.ones(n), *draws.astype(float)):
        fits = [k for k, (hits, _) in enumerate(counts) if w @ hits >= w @ hits_b]
        false_a = w @ counts[fits[-1]][1]
        quiet = next((hits for hits, false in counts if w @ false <= w @ false_b), 0 * hits_b)
        if not sizes:  # the footage itself, before it is resampled
            sizes = [false_b + counts[fits[-1]][1], hits_b + quiet]
            continue
        if w @ hits_b > 0 and w @ false_b + false_a > 0:
            ratios.append(w @ false_b / false_a if false_a else np.inf)
        if w @ total:
            differences.append((w @ hits_b - w @ quiet) / (w @ total))
    return [(ratios, level(sizes[0])), (differences, level(sizes[1]))]


def level(events) -> float:
    """Lower level of the expanded percentiles, by scipy's distributions."""
    count = events.sum() ** 2 / (events**2).sum()
    return max(0.001, stats.norm.sf(stats.t.ppf(0.975, count - 1) * np.sqrt(count / (count - 1))))


@pytest.mark.parametrize("seed", range(4))
def test_limits_are_those_of_a_literal_search(seed: int) -> None:
    prepared = world(seed)
    cascade = count_arm(prepared, POINT, CASCADE)
    intervals = (
        matched_recall(prepared, cascade)["false_alarm_ratio_interval"],
        matched_false_alarms(prepared, cascade)["recall_difference_interval"],
    )
    for found, (sample, tail) in zip(intervals, literal(prepared, cascade), strict=True):
        low, high = np.quantile(sample, [tail, 1 - tail], method="inverted_cdf")
        assert found["low"] == pytest.approx(low)
        assert found["high"] == (pytest.approx(high) if np.isfinite(high) else None)
        assert f"defined in {len(sample)} of them" in found["method"]


def test_the_interval_is_printed_with_its_replicates_and_seed() -> None:
    prepared = world(1)
    result = evaluate_prepared(prepared, POINT).to_json()
    ratio = result["matched_recall"]["false_alarm_ratio_interval"]
    assert ratio["value"] == result["matched_recall"]["false_alarm_ratio"]
    assert ratio["low"] <= ratio["value"] <= ratio["high"]
    assert "77 replicates, seed 6" in ratio["method"]
    text = render(result)
    assert "77 replicates, seed 6" in " ".join(text.split()) and "(ratio " in text


def test_one_camera_has_no_interval_and_says_why() -> None:
    prepared = world(1, cameras=1)
    cascade = count_arm(prepared, POINT, CASCADE)
    found = matched_false_alarms(prepared, cascade)["recall_difference_interval"]
    assert found["low"] is None and found["high"] is None
    two = matched_recall(world(1, 2), count_arm(world(1, 2), POINT, CASCADE))
    assert "too narrow" in two["false_alarm_ratio_interval"]["method"]
