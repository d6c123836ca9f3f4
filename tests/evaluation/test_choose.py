"""Thresholds with a promise (V19), paired comparison, and the strict view (V21)."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from forensics.errors import ForensicsError
from forensics.evaluation import prepare
from forensics.evaluation.actev import strict_arm, strict_view
from forensics.evaluation.choose import (
    PER_CAMERA_DAY,
    PER_MILLION_FRAMES,
    RECALL,
    Goal,
    choose_thresholds,
    fixed_sequence,
    split_cameras,
    upper_bound,
)
from forensics.evaluation.levels import DETECTOR, count_arm
from forensics.evaluation.paired import compare_rates, mcnemar, sign_flip
from forensics.evaluation.rules import Rules
from forensics.types import OperatingPoint

from .helpers import Clip, make_run, spans_truth

G = (0, 0, 10, 10)
TERMS = {"confidence": 0.95, "replicates": 2000, "seed": 3}


def test_v19_the_walk_stops_at_the_first_bound_above_the_limit() -> None:
    events = [0, 0, 1, 2, 5, 4]
    bounds = [upper_bound(np.array([float(k)]), np.array([100.0]), 0.05) for k in events]
    assert bounds[2] == pytest.approx(0.04744, abs=5e-6)
    assert bounds[3] == pytest.approx(0.06296, abs=5e-6)
    assert fixed_sequence(bounds, 0.05) == 2
    assert fixed_sequence([0.04, 0.06, 0.01], 0.05) == 0
    assert fixed_sequence([0.06, 0.01], 0.05) is None
    assert fixed_sequence([float("nan")], 0.05) is None


def test_cameras_that_differ_raise_the_bound() -> None:
    ones = np.ones(4)
    alike = upper_bound(np.full(4, 2.0), ones, 0.05)
    assert alike == pytest.approx(stats.chi2.ppf(0.95, 18) / 8)
    assert upper_bound(np.array([0, 0, 0, 8.0]), ones, 0.05) > 3 * alike
    assert upper_bound(np.zeros(2), np.zeros(2), 0.05) == float("inf")


def test_cameras_are_split_whole_and_reproducibly() -> None:
    names = [f"c{i}" for i in range(9)]
    left, right = split_cameras(names, 0.5, 1)
    assert sorted(left + right) == list(range(9)) and left and right
    assert split_cameras(names, 0.5, 1) == (left, right)
    assert all(split_cameras(names[:2], share, 1)[1] for share in (0.01, 0.99))


def chosen(limit: float, n: int = 16):
    rng = np.random.default_rng(5)
    clips, told = [], []
    for number in range(n):
        found = {}
        for frame in range(0, 400):
            gun = 100 <= frame < 140
            if gun or rng.random() < 0.05:
                target = rng.beta(8, 2) if gun else rng.beta(2, 8)
                found[frame] = [(G, float(rng.uniform(0.3, 1)), float(target))]
        clips.append(Clip(f"{number}.mp4", 400, fps=1, camera=f"c{number}", detections=found))
        for edge in ((0, 100, "none"), (100, 140, "gun"), (140, 400, "none")):
            told.append((f"{number}.mp4", *edge))
    prepared = prepare(make_run(*clips), spans_truth(*told))
    goal = Goal(limit, PER_MILLION_FRAMES)
    return choose_thresholds(prepared, goal, detector=[0.3, 0.6])


def test_the_choice_is_made_on_some_cameras_and_scored_on_others() -> None:
    choice = chosen(10_000)
    assert choice.promised and choice.operating_point is not None
    assert choice.bound <= 10_000
    assert not set(choice.calibration) & set(choice.test)
    assert len(choice.calibration) == len(choice.test) == 8
    assert choice.on_test["false_alarms_per_million"]["value"] is not None
    assert choice.on_test["recall"]["value"] > 0.5
    assert "exchangeable" in "".join(choice.scope) and "scored once" in choice.scope[0]
    assert choice == chosen(10_000)


def test_a_promise_that_cannot_be_kept_is_not_made() -> None:
    choice = chosen(10)
    assert choice.operating_point is None and choice.on_test is None and not choice.promised
    assert "no threshold can be promised" in choice.scope[0]
    with pytest.raises(ForensicsError, match="two cameras"):
        chosen(10, n=1)
    with pytest.raises(ForensicsError, match="above 0"):
        chosen(0)


def test_the_limit_that_is_named_could_have_been_promised() -> None:
    """The first path, at the lowest detector threshold, is far from what another path begins with.

    Certain false alarms score low at the detector, rare ones high; so it is with what is found.
    """
    low, high = [(G, 0.1, 1.0)], [(G, 0.97, 1.0)]
    clips, quiet, seen = [], [], []
    for number in range(20):
        name, found = f"{number}.mp4", dict.fromkeys(range(0, 3000, 100), low) | {150: high}
        clips.append(Clip(name, 3000, fps=1, camera=f"k{number}", detections=found))
        quiet.append((name, 0, 3000, "none"))
        seen += [(name, a, a + 30, "gun") for a in range(100, 3000, 100)]
    run = make_run(*clips)
    for told, limit, unit, name, ease in (
        (quiet, 20, PER_CAMERA_DAY, "lowest upper", 1.001),
        (seen, 0.999, RECALL, "highest lower", 0.999),
    ):
        prepared = prepare(run, spans_truth(*told), Rules(collar_s=0))
        lost = choose_thresholds(prepared, Goal(limit, unit))
        assert lost.operating_point is None
        named = re.search(rf"the {name} limit of a first step is ([0-9.]+)", lost.scope[0])
        assert named is not None
        first = [step.bound for step in lost.path]
        nearest = max(first) if unit == RECALL else min(first)
        assert len(set(first)) > 1 and float(named[1]) == pytest.approx(nearest, rel=1e-3)
        assert choose_thresholds(prepared, Goal(nearest * ease, unit)).promised


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(1)
    level = rng.gamma(1, 40, 20)
    a, b = rng.poisson(level).astype(float), rng.poisson(level * 0.5).astype(float)
    found = compare_rates(a, b, np.ones(20), **TERMS)
    assert found.ratio.low < 0.5 < found.ratio.high
    assert found.ratio.high - found.ratio.low < 0.25
    assert found.p_value < 0.01 and "seed 3" in found.ratio.method
    assert found == compare_rates(a, b, np.ones(20), **TERMS)


def test_the_bootstrap_is_scipys_percentile_at_expanded_levels() -> None:
    rng = np.random.default_rng(2)
    a = rng.poisson(30, 12).astype(float)
    b = rng.poisson(20, 12).astype(float)
    ours = compare_rates(a, b, np.ones(12), confidence=0.95, replicates=9999, seed=1).ratio
    count = (a + b).sum() ** 2 / ((a + b) ** 2).sum()
    reach = stats.t.ppf(0.975, count - 1) * (count / (count - 1)) ** 0.5
    tail = stats.norm.sf(reach)
    theirs = stats.bootstrap(
        (b, a),
        lambda x, y, axis: x.sum(axis=axis) / y.sum(axis=axis),
        paired=True,
        method="percentile",
        confidence_level=1 - 2 * tail,
        rng=np.random.default_rng(9),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.02)
    assert f"over 12 cameras that count as {count:.1f} alike" in ours.method


def test_paired_corner_cases_are_undefined_not_zero() -> None:
    one = np.ones(1)
    assert compare_rates(one, one, one, **TERMS).difference.low is None
    assert compare_rates(one, one, 0 * one, **TERMS).ratio.value is None
    none = compare_rates(np.zeros(3), np.ones(3), np.ones(3), **TERMS)
    assert none.ratio.value is None and none.difference.value == 1
    assert sign_flip(np.zeros(3), seed=1, replicates=10)[0] is None
    assert sign_flip(np.ones(4), seed=1, replicates=10)[0] == pytest.approx(2 / 16)
    assert sign_flip(np.ones(30), seed=1, replicates=999)[0] == pytest.approx(1 / 1000)
    assert mcnemar(6, 0) == 0.03125
    assert mcnemar(0, 0) is None


V21 = [(100.0, 131.0, 0.9), (200.0, 205.0, 0.8), (150.0, 160.0, 0.7)]


@pytest.mark.parametrize(
    ("threshold", "rate", "excess"), [(0.9, 0.0, 20.0), (0.8, 0.1, 25.0), (0.7, 0.2, 25.0)]
)
def test_v21_the_strict_view_counts_repeats_as_false(threshold, rate, excess) -> None:
    alerts = np.array([alert[:2] for alert in V21 if alert[2] >= threshold])
    view = strict_view(alerts, np.array([[120.0, 180.0]]), 600.0)
    assert (view.matched, view.missed) == (1, 0)
    assert view.rate_per_minute == pytest.approx(rate)
    assert view.time_share == pytest.approx(excess / 540)


def test_v21_the_operator_sees_one_false_and_one_repeat() -> None:
    frames = [i for start, end, _ in V21 for i in range(round(start * 10), round(end * 10))]
    run = make_run(Clip("a.mp4", 6000, detections={i: [(G, 0.9, 1)] for i in frames}))
    told = spans_truth(
        ("a.mp4", 0, 120, "none"), ("a.mp4", 120, 180, "gun"), ("a.mp4", 180, 600, "none")
    )
    prepared = prepare(run, told, Rules())
    arm = count_arm(prepared, OperatingPoint(0.5, None), DETECTOR)
    assert int(arm.event.false_alerts.sum()) == 1 and int(arm.event.repeat_alerts.sum()) == 1
    strict = strict_arm(prepared, arm)
    assert (strict.matched, strict.missed, strict.false) == (1, 0, 2)


def test_short_incidents_need_half_their_length() -> None:
    incident = np.array([[10.0, 10.6]])
    assert strict_view(np.array([[9.0, 10.3]]), incident, 60).matched == 1
    assert strict_view(np.array([[9.0, 10.2]]), incident, 60).matched == 0
    empty = strict_view(np.zeros((0, 2)), np.zeros((0, 2)), 0.0)
    assert empty.rate_per_minute is None and empty.time_share is None
