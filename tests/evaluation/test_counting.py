"""Counts of the product against slow, literal counting on random logs; and their laws."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import ForensicsError
from forensics.evaluation import curves, evaluate, prepare
from forensics.evaluation.levels import CASCADE, DETECTOR, count_arm
from forensics.evaluation.rules import Rules
from forensics.truth.base import combine
from forensics.types import OperatingPoint

from . import brute
from .helpers import Clip, boxes_truth, make_run, random_frames, spans_truth

GRID = [round(0.1 * k, 2) for k in range(1, 10)]
QUICK = settings(max_examples=15, deadline=None)


def world(seed: int, n_frames: int = 25, missing: float = 0.1):
    """A clip with random boxes: (frames for brute force, run, truth)."""
    found, truth, crowds = random_frames(np.random.default_rng(seed), n_frames, missing=missing)
    run = make_run(Clip("a.mp4", n_frames, detections=found))
    frames = [(found[i], truth[i], crowds[i]) for i in range(n_frames)]
    return frames, run, boxes_truth("a.mp4", truth, crowd=crowds)


def totals(arm) -> dict[str, int]:
    return {
        "tp": int(arm.box.tp.sum()),
        "fp": int(arm.box.fp.sum()),
        "ignored": int(arm.box.ignored.sum()),
        "fn": int(arm.box.fn.sum()),
        "frame_tp": int(arm.frame.tp.sum()),
        "frame_fp": int(arm.frame.fp.sum()),
        "localised": int(arm.frame.localised_tp.sum()),
    }


@QUICK
@given(seed=st.integers(0, 10**6), iou=st.sampled_from([0.3, 0.5, 0.75]))
def test_counts_equal_literal_counting(seed: int, iou: float) -> None:
    frames, run, truth = world(seed)
    prepared = prepare(run, truth, Rules(iou=iou))
    for detector in GRID[::2]:
        for classifier in (None, *GRID[::2]):
            arm = DETECTOR if classifier is None else CASCADE
            counted = count_arm(prepared, OperatingPoint(detector, classifier), arm)
            assert totals(counted) == brute.count(frames, detector, classifier, iou)


@QUICK
@given(seed=st.integers(0, 10**6))
def test_curves_equal_the_counts_at_every_point(seed: int) -> None:
    frames, run, truth = world(seed)
    prepared = prepare(run, truth)
    frame = curves(prepared, OperatingPoint(0.5, 0.4))
    assert set(frame["arm"]) == {DETECTOR, CASCADE}
    for row in frame.itertuples():
        classifier = None if row.arm == DETECTOR else 0.4
        want = brute.count(frames, float(row.threshold), classifier)
        got = {name: getattr(row, f"box_{name}") for name in ("tp", "fp")}
        assert got == {name: want[name] for name in ("tp", "fp")}
        assert (row.frame_tp, row.frame_fp) == (want["frame_tp"], want["frame_fp"])


def test_a_curve_keeps_to_the_floor() -> None:
    """Below it the log does not hold every box: a row there would be labelled with a lie."""
    _, run, truth = world(3)
    prepared, point = prepare(run, truth), OperatingPoint(0.5, 0.4)
    with pytest.raises(ForensicsError, match=r"0\.001 is below the run's logging floor 0\.01"):
        curves(prepared, point, thresholds=[0.5, 0.001])
    floor = curves(prepared, point, thresholds=[0.01, 0.5])
    assert floor["threshold"].unique().tolist() == np.float32([0.01, 0.5]).tolist()


@QUICK
@given(seed=st.integers(0, 10**6))
def test_recall_falls_as_thresholds_rise(seed: int) -> None:
    _, run, truth = world(seed)
    prepared = prepare(run, truth)
    grid = np.array(
        [
            [
                (int(arm.box.tp.sum()), int(arm.frame.tp.sum()), int(arm.event.detected.sum()))
                for arm in (count_arm(prepared, OperatingPoint(a, b), CASCADE) for b in GRID[::3])
            ]
            for a in GRID[::3]
        ]
    )
    assert np.all(np.diff(grid, axis=0) <= 0) and np.all(np.diff(grid, axis=1) <= 0)


@QUICK
@given(seed=st.integers(0, 10**6), n_clips=st.integers(2, 5), data=st.data())
def test_counts_add_up_over_any_split_of_media(
    seed: int, n_clips: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    clips, truths = [], []
    for number in range(n_clips):
        found, truth, crowds = random_frames(rng, 12)
        clips.append(Clip(f"{number}.mp4", 12, fps=0.5, detections=found))
        truths.append(boxes_truth(f"{number}.mp4", truth, crowd=crowds))
    first = data.draw(st.sets(st.integers(0, n_clips - 1), min_size=1, max_size=n_clips - 1))
    parts = [sorted(first), [n for n in range(n_clips) if n not in first]]

    def count(numbers):
        run = make_run(*(clips[n] for n in numbers))
        arm = count_arm(
            prepare(run, combine(truths[n] for n in numbers)), OperatingPoint(0.4, 0.4), CASCADE
        )
        return {
            f"{level}.{field.name}": int(getattr(counts, field.name).sum())
            for level, counts in (("box", arm.box), ("frame", arm.frame), ("event", arm.event))
            for field in fields(counts)
        }

    whole, left, right = count(range(n_clips)), count(parts[0]), count(parts[1])
    assert whole == {name: left[name] + right[name] for name in whole}


@QUICK
@given(
    seed=st.integers(0, 10**6),
    gap_s=st.sampled_from([0.3, 1.0, 5.0]),
    collar_s=st.sampled_from([0.0, 0.5]),
)
def test_events_equal_a_naive_simulation(seed: int, gap_s: float, collar_s: float) -> None:
    rng = np.random.default_rng(seed)
    clips, told, simulated = [], [], []
    for number in range(3):
        alarms = sorted(rng.choice(200, 25, replace=False).tolist())
        starts = (4.0, 14.0)
        spans = [(start, start + float(rng.integers(1, 4))) for start in starts]
        clips.append(
            Clip(f"{number}.mp4", 200, detections={i: [((0, 0, 9, 9), 0.9, 0.9)] for i in alarms})
        )
        edges = [0.0, *(edge for span in spans for edge in span), 20.0]
        labels = ["none", "gun", "none", "gun", "none"]
        told += [
            (f"{number}.mp4", *edge, label)
            for edge, label in zip(zip(edges, edges[1:], strict=False), labels, strict=True)
        ]
        simulated.append(([i / 10 for i in alarms], spans))
    prepared = prepare(make_run(*clips), spans_truth(*told), Rules(gap_s=gap_s, collar_s=collar_s))
    event = count_arm(prepared, OperatingPoint(0.5, 0.5), CASCADE).event
    want = brute.events(simulated, gap_s, collar_s)
    assert int(event.alerts.sum()) == want["alerts"]
    assert int(event.false_alerts.sum()) == want["false"]
    assert int(event.repeat_alerts.sum()) == want["repeat"]
    assert int(event.detected.sum()) == want["detected"]


@QUICK
@given(score=st.floats(0.03125, 1, width=32))
def test_a_threshold_written_as_the_score_lets_it_through(score: float) -> None:
    run = make_run(Clip("a.mp4", 1, detections={0: [((0, 0, 9, 9), score, score)]}))
    prepared = prepare(run, boxes_truth("a.mp4", {0: [(0, 0, 9, 9)]}))
    written = float(f"{score:.9g}")
    above = float(np.nextafter(np.float32(score), np.float32(2)))
    assert int(count_arm(prepared, OperatingPoint(written, written), CASCADE).box.tp.sum()) == 1
    assert int(count_arm(prepared, OperatingPoint(above, None), DETECTOR).box.tp.sum()) == 0
    assert int(count_arm(prepared, OperatingPoint(0.01, above), CASCADE).box.tp.sum()) == 0


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_order_of_rows_in_the_log_does_not_matter(shuffle: bool) -> None:
    frames, run, truth = world(3)
    if shuffle:
        order = np.random.default_rng(0).permutation(run.detections.num_rows)
        rows = np.random.default_rng(1).permutation(run.frames.num_rows)
        object.__setattr__(run, "detections", run.detections.take(order))
        object.__setattr__(run, "frames", run.frames.take(rows))
    counted = count_arm(prepare(run, truth), OperatingPoint(0.3, 0.3), CASCADE)
    assert totals(counted) == brute.count(frames, 0.3, 0.3)


def test_the_same_evaluation_twice_is_the_same() -> None:
    _, run, truth = world(5)
    assert evaluate(run, truth).to_json() == evaluate(run, truth).to_json()
