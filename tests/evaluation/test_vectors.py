"""The hand-computed vectors V1-V17 of the evaluation specification, on the public functions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from forensics.evaluation import evaluate, prepare
from forensics.evaluation.levels import CASCADE, DETECTOR, count_arm
from forensics.evaluation.rates import garwood, garwood_upper
from forensics.evaluation.rules import Rules
from forensics.types import OperatingPoint

from .helpers import NAN, Clip, boxes_truth, make_run, spans_truth

G = (0, 0, 10, 10)


def box_counts(gt, detections, detector, classifier, *, crowd=(), froc=False):
    """(TP, FP, IGN, FN) of one frame; with `froc`, (guns found, false positives)."""
    run = make_run(Clip("a.mp4", 1, detections={0: detections}))
    truth = boxes_truth("a.mp4", {0: gt}, crowd={0: crowd})
    arm = DETECTOR if classifier is None else CASCADE
    box = count_arm(prepare(run, truth), OperatingPoint(detector, classifier), arm).box
    if froc:
        return int(box.found.sum()), int(box.fp.sum() - box.duplicates.sum())
    return tuple(int(n.sum()) for n in (box.tp, box.fp, box.ignored, box.fn))


def test_v1_a_score_equal_to_the_threshold_survives() -> None:
    assert box_counts([G], [(G, 0.9, 0.8)], 0.9, 0.5) == (1, 0, 0, 0)
    assert box_counts([G], [(G, 0.9, 0.8)], 0.91, 0.5) == (0, 0, 0, 1)


def test_v2_an_overlap_equal_to_the_threshold_matches() -> None:
    assert box_counts([G], [((0, 0, 10, 5), 0.9, 0.9)], 0.5, 0.5) == (1, 0, 0, 0)


def test_v3_a_duplicate_is_false_but_not_for_froc() -> None:
    pair = [(G, 0.9, 0.9), ((0, 0, 10, 9), 0.8, 0.9)]
    assert box_counts([G], pair, 0.5, 0.5) == (1, 1, 0, 0)
    assert box_counts([G], pair, 0.5, 0.5, froc=True) == (1, 0)


def test_v4_survivors_are_matched_again_after_the_classifier() -> None:
    pair = [(G, 0.9, 0.1), ((0, 0, 10, 9), 0.8, 0.9)]
    assert box_counts([G], pair, 0.5, None) == (1, 1, 0, 0)
    assert box_counts([G], pair, 0.5, 0.5) == (1, 0, 0, 0)


def test_v5_matching_is_greedy_not_maximal() -> None:
    gt = [G, (4, 0, 10, 10)]
    pair = [((1, 0, 10, 10), 0.9, 0.1), ((0, 0, 10, 9), 0.8, 0.9)]
    assert box_counts(gt, pair, 0.5, None) == (1, 1, 0, 1)
    assert box_counts(gt, pair, 0.5, 0.5) == (1, 0, 0, 1)


def test_v6_the_second_best_free_gun_may_be_taken() -> None:
    pair = [(G, 0.9, 1), ((1, 0, 10, 10), 0.8, 1)]
    assert box_counts([G, (3, 0, 10, 10)], pair, 0.5, None) == (2, 0, 0, 0)


def test_v7_an_ignore_region_takes_any_number_of_boxes() -> None:
    inside = [(5, 5, 10, 10), (30, 30, 10, 10), (60, 60, 10, 10)]
    found = [((200, 0, 10, 10), 0.9, 0.9), *((box, 0.9, 0.9) for box in inside)]
    crowd = [(0, 0, 100, 100)]
    assert box_counts([(200, 0, 10, 10)], found, 0.5, 0.5, crowd=crowd) == (1, 0, 3, 0)


def test_v8_rates_have_the_processed_frames_below_the_line() -> None:
    """4 false frames in 1000 processed of 5000 at 25 fps: V8 scaled down by a thousand."""
    shots = {0: 1, 5: 1, 2500: 1, 2505: 1}
    found = {index: [(G, 0.9, 0.9)] for index in shots}
    clip = Clip("a.mp4", 5000, fps=25, every=5, detections=found)
    left_out = {"media_id": clip.identity, "path": "a.mp4", "state": "sampled_out"}
    run = make_run(clip, coverage=[left_out | {"n_frames": 4000}])
    figures = evaluate(run, spans_truth(("a.mp4", 0, 200, "none"))).to_json()
    frame = figures["arms"]["cascade"]["frame"]
    rate = frame["false_alarms_per_million"]
    assert figures["denominators"]["frames_footage"] == 5000
    assert figures["denominators"]["frames_processed"] == 1000
    assert rate["value"] == pytest.approx(4000)
    assert (rate["low"], rate["high"]) == pytest.approx((1089.9, 10241.6), abs=0.05)
    assert frame["false_alarms_per_million_footage"] == pytest.approx(800)
    assert figures["denominators"]["hours_negative"] == pytest.approx(55.55556 / 1000)
    event = figures["arms"]["cascade"]["event"]
    assert event["false_alerts"] == 2
    assert event["false_alerts_per_camera_hour"]["value"] == pytest.approx(36)
    assert garwood(4, 1.0) == pytest.approx((1.0899, 10.2416), abs=5e-5)


def test_v9_no_events_give_the_rule_of_three() -> None:
    assert garwood_upper(0, 2.5) == pytest.approx(1.1983, abs=5e-5)
    assert garwood(0, 2.5)[1] == pytest.approx(1.4756, abs=5e-5)


def test_v10_alerts_merge_by_the_gap_and_are_judged_by_the_zone() -> None:
    frames = [100, 101, 102, 103, 104, 130, 200]
    run = make_run(Clip("a.mp4", 300, detections={f: [(G, 0.9, 0.9)] for f in frames}))
    truth = spans_truth(
        ("a.mp4", 0, 12, "none"), ("a.mp4", 12, 18, "gun"), ("a.mp4", 18, 30, "none")
    )
    event = evaluate(run, truth, rules=Rules(gap_s=3, collar_s=1)).to_json()["arms"]["cascade"][
        "event"
    ]
    assert (event["alerts"], event["false_alerts"]) == (2, 1)
    assert (event["detected"], event["incidents"]) == (1, 1)
    assert event["latency_s"]["median"] == pytest.approx(1.0)


def test_v11_a_higher_threshold_may_split_an_alert() -> None:
    scores = {10: 0.9, 20: 0.5, 30: 0.9}
    run = make_run(Clip("a.mp4", 40, detections={f: [(G, s, 1)] for f, s in scores.items()}))
    prepared = prepare(run, None, Rules(gap_s=1))
    counts = [
        len(count_arm(prepared, OperatingPoint(threshold, None), DETECTOR).alerts.media)
        for threshold in (0.4, 0.6)
    ]
    assert counts == [1, 2]


def test_v12_confirmation_needs_k_of_the_last_n_processed_frames() -> None:
    frames = [5, 7, 8, 20]
    run = make_run(Clip("a.mp4", 30, detections={f: [(G, 0.9, 1)] for f in frames}))
    prepared = prepare(run, None, Rules(confirm_hits=3, confirm_frames=5))
    alerts = count_arm(prepared, OperatingPoint(0.5, None), DETECTOR).alerts
    assert prepared.log.frame_index[prepared.timeline.row[alerts.position]].tolist() == [8]


def test_v13_counts_on_a_grid_of_both_thresholds() -> None:
    found = [(G, 0.9, 0.2), ((50, 0, 10, 10), 0.6, 0.8), ((90, 0, 10, 10), 0.3, 0.5)]
    run = make_run(Clip("a.mp4", 1, detections={0: found}))
    prepared = prepare(run, boxes_truth("a.mp4", {0: []}))
    grid = [
        [count_arm(prepared, OperatingPoint(a, b), CASCADE) for b in (0, 0.5, 0.8)]
        for a in (0.3, 0.6, 0.9)
    ]
    boxes = [[int(arm.box.fp.sum()) for arm in row] for row in grid]
    frames = [[int(arm.frame.fp.sum()) for arm in row] for row in grid]
    assert boxes == [[3, 2, 1], [2, 1, 1], [1, 0, 0]]
    assert frames == [[1, 1, 1], [1, 1, 1], [1, 0, 0]]


def test_v14_thresholds_are_cast_to_the_type_of_the_scores() -> None:
    assert np.float64(np.float32(0.7)) < 0.7  # the trap
    assert box_counts([G], [(G, 0.7, 0.7)], 0.7, 0.7) == (1, 0, 0, 0)


def test_v15_frame_and_box_level_differ_on_one_log() -> None:
    off = ((50, 50, 10, 10), 0.9, 0.9)
    found = {1: [(G, 0.9, 0.9)], 2: [off], 7: [off, ((70, 70, 10, 10), 0.9, 0.9)]}
    gt = {index: ([G] if index in (1, 2, 3) else []) for index in range(10)}
    run = make_run(Clip("a.mp4", 10, detections=found))
    arm = evaluate(run, boxes_truth("a.mp4", gt)).to_json()["arms"]["cascade"]
    assert [arm["frame"][name] for name in ("tp", "fp", "fn")] == [2, 1, 1]
    assert [arm["box"][name] for name in ("tp", "fp", "fn")] == [1, 3, 2]
    assert arm["frame"]["localised"] == {"tp": 1, "fn": 2, "recall": pytest.approx(1 / 3)}
    assert stats.binomtest(0, 6).pvalue == 0.03125


def test_v16_an_incident_that_sampling_never_sees_counts_as_missed() -> None:
    """A 4-frame incident at stride 5 is unseen in 1 of 5 start phases."""
    unseen = []
    for phase in range(5):
        run = make_run(Clip("a.mp4", 60, fps=1, every=5))
        start = 20 + phase
        truth = spans_truth(("a.mp4", start, start + 4, "gun"))
        rules = Rules(gap_s=0, collar_s=0)
        event = evaluate(run, truth, rules=rules).to_json()["arms"]["cascade"]["event"]
        assert (event["incidents"], event["recall"]) == (1, 0.0)
        unseen.append(event["incidents_unseen"])
    assert sum(unseen) == 1


def test_v17_a_missing_classifier_score_is_rejected_and_counted() -> None:
    run = make_run(Clip("a.mp4", 1, detections={0: [(G, 0.9, NAN)]}))
    figures = evaluate(
        run, boxes_truth("a.mp4", {0: [G]}), operating_point=OperatingPoint(0.5, 0.0)
    ).to_json()
    assert figures["arms"]["detector"]["box"]["tp"] == 1
    assert figures["arms"]["cascade"]["box"]["tp"] == 0
    assert figures["arms"]["cascade"]["missing_classifier_score"] == 1
