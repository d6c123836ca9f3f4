"""Per-detection decisions and merged incidents, with and without truth."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.evaluation import decisions, incidents
from forensics.evaluation.rules import Rules
from forensics.types import OperatingPoint

from .helpers import NAN, Clip, boxes_truth, make_run, spans_truth

G, FAR, PHONE = (0, 0, 10, 10), (100, 0, 10, 10), (200, 0, 10, 10)
POINT = OperatingPoint(0.5, 0.5)
FOUND = {
    0: [(G, 0.9, 0.2), ((0, 0, 10, 9), 0.8, 0.9), (FAR, 0.7, 0.1), (G, 0.3, 0.9)],
    1: [(PHONE, 0.9, 0.6)],
    2: [(G, 0.9, NAN)],
    3: [(G, 0.9, 0.9)],
}


def test_every_detection_gets_an_outcome_per_arm() -> None:
    run = make_run(Clip("a.mp4", 5, detections=FOUND))
    truth = boxes_truth("a.mp4", {0: [G]}, decoys={1: [PHONE]}, ignored=[2])
    table = decisions(run, truth, POINT)
    assert table["row"].tolist() == [0, 1, 2, 4, 5, 6]
    assert table["outcome_detector"].tolist() == ["tp", "fp", "fp", "fp", "ignored", "unlabelled"]
    assert table["outcome_cascade"].fillna("").tolist() == ["", "tp", "", "fp", "", "unlabelled"]
    assert table["alarm_detector"].all()
    assert table["alarm_cascade"].tolist() == [False, True, False, True, False, True]
    assert table["truth_class"][0] == "gun" and table["truth_class"][3] == "phone"
    assert table["on_decoy"].tolist() == [False, False, False, True, False, False]
    labels = ["positive"] * 3 + ["negative", "ignored", "unlabelled"]
    assert table["frame_label"].tolist() == labels


def test_without_truth_alarms_remain_and_outcomes_are_null() -> None:
    table = decisions(make_run(Clip("a.mp4", 5, detections=FOUND)), None, POINT)
    assert table["outcome_detector"].isna().all() and table["frame_label"].isna().all()
    assert table["alarm_cascade"].sum() == 3


def test_spans_leave_boxes_without_outcome() -> None:
    run = make_run(Clip("a.mp4", 5, detections=FOUND))
    table = decisions(run, spans_truth(("a.mp4", 0, 9, "gun")), POINT)
    assert set(table["outcome_detector"]) == {"unlabelled"}
    assert set(table["frame_label"]) == {"positive"}


def test_alarms_are_merged_into_incidents_with_their_best_detection() -> None:
    found = {i: [(G, 0.6, 0.9 if i == 11 else 0.7)] for i in (10, 11, 12, 80)}
    run = make_run(
        Clip("b.mp4", 100, detections=found, camera="yard"),
        Clip("s.jpg", 1, kind="still", camera="stills", detections={0: [(G, 0.9, 0.8)]}),
    )
    table = incidents(run, POINT, Rules(gap_s=5))
    assert table["path"].tolist() == ["b.mp4", "b.mp4", "s.jpg"]
    assert table["frames"].tolist() == [3, 1, 1]
    assert table["start_s"].tolist()[:2] == pytest.approx([1.0, 8.0])
    assert np.isnan(table["start_s"][2])
    assert table["best_frame"].tolist() == [11, 80, 0]
    assert table["best_row"].tolist() == [1, 3, 4]
    assert table["camera_id"].tolist() == ["yard", "yard", "stills"]


def test_the_detector_arm_ranks_unclassified_boxes_by_detector_score() -> None:
    run = make_run(Clip("a.mp4", 3, detections={1: [(G, 0.8, NAN), (FAR, 0.6, NAN)]}))
    assert len(incidents(run, POINT)) == 0
    table = incidents(run, POINT, arm="detector")
    assert table["best_score"].tolist() == pytest.approx([0.8])
    assert table["detections"].tolist() == [2]


def test_no_alarms_give_an_empty_table() -> None:
    assert len(incidents(make_run(Clip("a.mp4", 3)), POINT)) == 0
    assert len(decisions(make_run(Clip("a.mp4", 3)), None, POINT)) == 0
