"""The evaluation as a whole: its JSON, what is undefined, fair comparison, denominators."""

from __future__ import annotations

import json

import pytest

from forensics.evaluation import evaluate, prepare
from forensics.evaluation.levels import DETECTOR, count_arm
from forensics.evaluation.rules import Rules
from forensics.evaluation.text import render
from forensics.truth.base import combine
from forensics.types import OperatingPoint

from .helpers import Clip, boxes_truth, make_run, spans_truth

G = (0, 0, 10, 10)
KEYS = {
    "schema", "operating_point", "denominators", "arms", "removal", "matched_recall",
    "matched_false_alarms",
}  # fmt: skip
DENOMINATORS = {
    "frames_footage", "frames_processed", "frames_evaluated", "frames_positive", "frames_negative",
    "hours_negative", "media", "cameras", "frames_unlabelled", "frames_undecodable",
}  # fmt: skip
LEVELS = {
    "box": {"tp", "fp", "fn", "precision", "recall"},
    "frame": {"tp", "fp", "fn", "tn", "precision", "recall", "false_alarms_per_million"},
    "event": {"incidents", "detected", "recall", "alerts", "false_alerts", "repeat_alerts",
              "precision", "false_alerts_per_camera_hour", "latency_s"},
}  # fmt: skip


def figures(run, truth, **options):
    result = evaluate(run, truth, **options).to_json()
    json.dumps(result, allow_nan=False)  # no NaN, no numpy number
    assert render(result)
    return result


def test_the_stable_keys_are_there() -> None:
    run = make_run(Clip("a.mp4", detections={0: [(G, 0.9, 0.9)]}))
    result = figures(run, boxes_truth("a.mp4", {0: [G], 1: []}))
    assert not KEYS - set(result) and result["schema"] == 1
    assert not DENOMINATORS - set(result["denominators"])
    for arm in ("detector", "cascade"):
        for level, names in LEVELS.items():
            assert names <= set(result["arms"][arm][level])
    assert set(result["removal"]) == {"box", "frame", "event"}
    rate = result["arms"]["cascade"]["frame"]["false_alarms_per_million"]
    assert set(rate) == {"value", "low", "high", "method"}


def test_nothing_is_zero_that_is_undefined_without_negatives() -> None:
    run = make_run(Clip("a.mp4", 1))
    arm = figures(run, boxes_truth("a.mp4", {0: [G]}))["arms"]["cascade"]
    assert arm["box"]["precision"] is None and arm["box"]["recall"] == 0.0
    assert arm["frame"]["false_alarms_per_million"]["value"] is None
    assert arm["event"]["precision"] is None


def test_nothing_is_zero_that_is_undefined_without_positives() -> None:
    run = make_run(Clip("a.mp4", 10))
    result = figures(run, spans_truth(("a.mp4", 0, 9, "none")))
    for level in ("box", "frame", "event"):
        assert result["arms"]["cascade"][level]["recall"] is None
        assert result["arms"]["cascade"][level]["precision"] is None
    assert result["arms"]["cascade"]["event"]["latency_s"]["median"] is None
    assert result["matched_recall"]["false_alarm_ratio"] is None
    assert result["matched_recall"]["undefined"]
    rate = result["arms"]["cascade"]["frame"]["false_alarms_per_million"]
    assert rate["value"] == 0.0 and rate["high"] == pytest.approx(2.99573e5, rel=1e-5)
    assert "rule of three" in rate["method"] and "of such cameras" in rate["method"]


def test_spans_alone_say_nothing_on_boxes() -> None:
    run = make_run(Clip("a.mp4", 10, detections={0: [(G, 0.9, 0.9)], 8: [(G, 0.9, 0.9)]}))
    told = spans_truth(("a.mp4", 0, 0.5, "gun"), ("a.mp4", 0.5, 9, "none"))
    arm = figures(run, told)["arms"]["cascade"]
    assert [arm["box"][name] for name in ("tp", "fn", "precision", "recall")] == [None] * 4
    assert arm["box"]["fp"] == 1
    assert (arm["frame"]["tp"], arm["frame"]["fn"], arm["frame"]["fp"]) == (1, 4, 1)
    assert arm["frame"]["localised"]["recall"] is None


def test_stills_have_no_event_level() -> None:
    run = make_run(
        Clip("d/a.jpg", 1, kind="still", camera="d", detections={0: [(G, 0.9, 0.9)]}),
        Clip("d/b.jpg", 1, kind="still", camera="d"),
    )
    truth = combine([boxes_truth("d/a.jpg", {0: [G]}), boxes_truth("d/b.jpg", {0: []})])
    result = figures(run, truth)
    event = result["arms"]["cascade"]["event"]
    assert [event[name] for name in ("incidents", "alerts", "false_alerts", "recall")] == [None] * 4
    assert result["denominators"]["hours_negative"] is None
    assert (result["denominators"]["media"], result["denominators"]["cameras"]) == (2, 1)
    assert result["matched_recall"]["level"] == "frame"


def test_a_run_without_classifier_has_no_cascade_arm() -> None:
    run = make_run(Clip("a.mp4", 3), thresholds={"classifier": None, "gate": None}, classes=())
    result = figures(run, spans_truth(("a.mp4", 0, 9, "none")))
    assert result["arms"]["cascade"] is None and result["removal"] is None
    assert any("only the detector" in note for note in result["notes"])


def test_every_frame_stands_in_exactly_one_place() -> None:
    clip = Clip("a.mp4", 20, errors=(3, 4))
    rows = [
        {"media_id": clip.identity, "path": "a.mp4", "state": state, "n_frames": n}
        for state, n in (("sampled_out", 30), ("undecodable", 5), ("undecodable", None))
    ]
    lost = Clip("lost.mp4", 0, status="unreadable")
    run = make_run(clip, lost, coverage=rows)
    told = spans_truth(("a.mp4", 0, 0.5, "ignore"), ("a.mp4", 0.5, 1, "none"))
    result = figures(run, told)
    sums = result["denominators"]
    assert sums["frames_processed"] == 18 and sums["frames_undecodable"] == 5
    assert sums["frames_footage"] == 18 + 5 + 30
    parts = ("frames_evaluated", "frames_unlabelled", "frames_ignored")
    assert sums["frames_processed"] == sum(sums[name] for name in parts)
    assert any("lost.mp4" in note for note in result["notes"])
    assert any("lower bound" in note for note in result["notes"])


def test_ignored_frames_count_at_no_level() -> None:
    run = make_run(Clip("a.mp4", 10, detections={i: [(G, 0.9, 0.9)] for i in range(10)}))
    told = spans_truth(("a.mp4", 0, 0.5, "ignore"), ("a.mp4", 0.5, 9, "none"))
    arm = figures(run, told)["arms"]["detector"]
    assert (arm["box"]["fp"], arm["frame"]["fp"], arm["event"]["false_alerts"]) == (5, 5, 1)


def test_a_box_in_an_ignore_region_is_no_false_alarm_at_any_level() -> None:
    run = make_run(Clip("a.mp4", 1, detections={0: [(G, 0.9, 0.9)]}))
    arm = figures(run, boxes_truth("a.mp4", {0: []}, crowd={0: [(0, 0, 50, 50)]}))["arms"][
        "cascade"
    ]
    assert (arm["box"]["fp"], arm["box"]["ignored"]) == (0, 1)
    assert (arm["frame"]["fp"], arm["frame"]["tn"], arm["event"]["alerts"]) == (0, 1, 0)


def test_alerts_on_unlabelled_frames_are_unverified() -> None:
    run = make_run(Clip("a.mp4", 10), Clip("b.mp4", 10, detections={5: [(G, 0.9, 0.9)]}))
    event = figures(run, spans_truth(("a.mp4", 0, 9, "none")))["arms"]["cascade"]["event"]
    assert (event["alerts"], event["false_alerts"], event["unverified_alerts"]) == (1, 0, 1)
    assert event["precision"] is None


def test_alerts_never_cross_files_and_repeat_alerts_are_told_apart() -> None:
    alarms = {i: [(G, 0.9, 0.9)] for i in (0, 90)}
    run = make_run(
        Clip("a.mp4", 100, detections=alarms, camera="c"),
        Clip("b.mp4", 100, detections={0: [(G, 0.9, 0.9)]}, camera="c"),
    )
    told = spans_truth(("a.mp4", 0, 99, "gun"), ("b.mp4", 0, 99, "none"))
    event = figures(run, told)["arms"]["cascade"]["event"]
    names = ("alerts", "false_alerts", "repeat_alerts", "detected")
    assert [event[name] for name in names] == [3, 1, 1, 1]
    assert event["precision"] == pytest.approx(2 / 3)


def test_missed_incidents_have_infinite_latency() -> None:
    run = make_run(Clip("a.mp4", 500, detections={20: [(G, 0.9, 0.9)]}))
    told = spans_truth(("a.mp4", 1, 3, "gun"), ("a.mp4", 20, 22, "gun"), ("a.mp4", 40, 42, "gun"))
    latency = figures(run, told)["arms"]["cascade"]["event"]["latency_s"]
    assert latency == {"median": None, "p90": None, "max": None, "incidents": 3, "missed": 2}


def test_hours_exclude_incidents_with_collars_and_unread_spans() -> None:
    clip = Clip("a.mp4", 1000, fps=10)
    hole = {"media_id": clip.identity, "path": "a.mp4", "state": "undecodable", "n_frames": 0,
            "start_time_s": 50.0, "stop_time_s": 60.0}  # fmt: skip
    told = spans_truth(
        ("a.mp4", 0, 20, "none"), ("a.mp4", 20, 30, "gun"), ("a.mp4", 30, 100, "none")
    )
    result = figures(make_run(clip, coverage=[hole]), told)
    assert result["denominators"]["hours_negative"] == pytest.approx((18 + 68 - 10) / 3600)


def test_planted_truth_is_counted_and_said() -> None:
    run = make_run(Clip("a.mp4", 3))
    result = figures(run, boxes_truth("a.mp4", {0: [G], 1: [G]}, planted=True))
    assert (result["planted"]["boxes"], result["planted"]["frames"]) == (2, 2)
    assert result["planted"]["incidents"] == 1
    assert any("planted" in note for note in result["notes"])


V18_INCIDENTS = [(0.9, 0.9), (0.7, 0.8), (0.6, 0.9), (0.4, 0.7)]
V18_ALARMS = [(0.8, 0.1), (0.75, 0.2), (0.65, 0.6), (0.55, 0.1), (0.5, 0.9), (0.45, 0.3)]


def test_v18_the_detector_alone_is_compared_at_its_own_threshold() -> None:
    clips = [
        Clip(f"{kind}{i}.mp4", 1, detections={0: [(G, *scores)]})
        for kind, pairs in (("gun", V18_INCIDENTS), ("none", V18_ALARMS))
        for i, scores in enumerate(pairs)
    ]
    told = spans_truth(*((clip.path, 0, 1, clip.path[:-5]) for clip in clips))
    run = make_run(*clips)
    result = figures(run, told, operating_point=OperatingPoint(0.4, 0.5))
    cascade = result["arms"]["cascade"]
    assert (cascade["event"]["detected"], cascade["event"]["false_alerts"]) == (4, 2)
    same_recall = result["matched_recall"]
    assert same_recall["recall"] == 1.0
    assert same_recall["detector_threshold"] == pytest.approx(0.4)
    assert same_recall["detector"]["false_alerts"] == 6
    assert same_recall["false_alarm_ratio"] == pytest.approx(2 / 6)
    at_075 = count_arm(prepare(run, told), OperatingPoint(0.75, None), DETECTOR)
    assert (int(at_075.event.detected.sum()), int(at_075.event.false_alerts.sum())) == (1, 2)
    # The budget of 2 is met from just above 0.65 already, where the detector finds 2 of 4: its
    # best within the budget, and so the fair one to compare with.
    same_alarms = result["matched_false_alarms"]
    assert 0.65 < same_alarms["detector_threshold"] < 0.6501
    assert same_alarms["detector"]["incidents_detected"] == 2
    assert same_alarms["recall_difference"] == pytest.approx(0.5)
    assert result["removal"]["event"] == {"tp_lost": 0, "fp_removed": 4}


def test_few_cameras_come_with_their_own_figures() -> None:
    clips = [
        Clip(f"{i}.mp4", 1000, camera=f"c{i % 3}", detections={9: [(G, 0.9, 0.9)]} if i % 3 else {})
        for i in range(6)
    ]
    result = figures(make_run(*clips), spans_truth(*((c.path, 0, 100, "none") for c in clips)))
    assert [row["camera"] for row in result["cameras"]] == ["c0", "c1", "c2"]
    assert [row["cascade_frame_fp"] for row in result["cameras"]] == [0, 2, 2]
    rate = result["arms"]["cascade"]["frame"]["false_alarms_per_million"]
    assert "camera log-t over 3 cameras" in rate["method"]
    assert any("only 3 cameras" in note for note in result["notes"])


def test_confirmation_changes_the_event_level_only() -> None:
    found = {i: [(G, 0.9, 0.9)] for i in (3, 10, 11, 12, 30)}
    run = make_run(Clip("a.mp4", 40, fps=1, detections=found))
    told = spans_truth(("a.mp4", 0, 40, "none"))
    arm = figures(run, told, rules=Rules(confirm_hits=3, confirm_frames=3))["arms"]["cascade"]
    assert (arm["frame"]["fp"], arm["event"]["false_alerts"]) == (5, 1)
