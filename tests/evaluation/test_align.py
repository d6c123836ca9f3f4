"""Truth joined to runs: names, classes, frames, spans; and what happens when they do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.errors import ForensicsError, RunLogError, TruthError
from forensics.evaluation import evaluate, prepare
from forensics.evaluation.align import FRAME_LABELS
from forensics.evaluation.rules import Rules
from forensics.truth.base import combine
from forensics.truth.naming import MediaNames
from forensics.types import OperatingPoint

from .helpers import Clip, boxes_truth, make_run, spans_truth

G = (0, 0, 10, 10)


def labels_of(prepared, code: int = 0) -> list[str]:
    rows = slice(prepared.log.media_start[code], prepared.log.media_start[code + 1])
    return [FRAME_LABELS[label] for label in prepared.labels.frame[rows]]


@pytest.mark.parametrize(
    ("name", "suffix_known", "found"),
    [
        ("cams/a.mp4", True, 0),
        ("a.mp4", True, 0),
        ("/data/x/cams/a.mp4", True, 0),
        ("a.avi", True, 0),
        ("other/b.mp4", True, 1),
        ("a", False, 0),
        ("b", False, 1),
        ("nowhere.mp4", True, None),
        ("", True, None),
    ],
)
def test_a_name_is_found_by_path_then_ending_then_stem(name, suffix_known, found) -> None:
    names = MediaNames({"cams/a.mp4": 0, "b.mp4": 1})
    assert names.find(name, "t.csv", suffix_known=suffix_known) == found


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a"])
def test_a_name_that_fits_several_files_is_an_error_naming_them(name) -> None:
    names = MediaNames({"x/a.mp4": 0, "y/a.mp4": 1})
    with pytest.raises(TruthError, match=r"t\.csv.*x/a\.mp4, y/a\.mp4"):
        names.find(name, "t.csv", suffix_known="." in name)


def test_a_dotted_name_is_not_cut_short_to_another_file() -> None:
    names = MediaNames({"a.jpg": 0, "a.b.jpg": 1})
    for name, known, found in (
        ("a.b", True, 1),
        ("a.b", False, 1),
        ("a.png", True, 0),
        ("a.c", True, None),
        ("a.c.jpg", True, None),
    ):
        assert names.find(name, "t", suffix_known=known) == found


def test_an_exact_path_wins_over_an_ending() -> None:
    names = MediaNames({"a.mp4": 0, "y/a.mp4": 1})
    assert names.find("a.mp4", "t", suffix_known=True) == 0
    assert names.find("a", "t", suffix_known=False) == 0


def test_files_that_the_run_lacks_are_noted_and_none_at_all_is_an_error() -> None:
    run = make_run(Clip("a.mp4"))
    some = combine([spans_truth(("a.mp4", 0, 1, "none")), spans_truth(("z.mp4", 0, 1, "gun"))])
    assert any("z.mp4" in note for note in evaluate(run, some).notes)
    with pytest.raises(TruthError, match=r"none of the 1 files.*z\.mp4"):
        evaluate(run, spans_truth(("z.mp4", 0, 1, "gun")))


def test_unknown_classes_say_how_to_map_them_and_mapping_works() -> None:
    run = make_run(Clip("a.mp4"))
    truth = boxes_truth("a.mp4", {0: [G]}, label="weapon")
    with pytest.raises(TruthError, match="--class-map weapon=gun"):
        prepare(run, truth)
    mapped = prepare(run, truth, Rules(class_map={"weapon": "gun"}))
    assert labels_of(mapped)[:2] == ["positive", "unlabelled"]
    dropped = prepare(run, truth, Rules(class_map={"weapon": ""}))
    assert labels_of(dropped)[:2] == ["negative", "unlabelled"]
    assert any("no target class" in note for note in dropped.labels.notes)


def test_spans_are_half_open_but_hold_the_last_frame() -> None:
    run = make_run(Clip("a.mp4", 10))
    told = spans_truth(
        ("a.mp4", 0, 0.3, "none"), ("a.mp4", 0.3, 0.5, "gun"), ("a.mp4", 0.5, 0.9, "ignore")
    )
    want = ["negative"] * 3 + ["positive"] * 2 + ["ignored"] * 5
    assert labels_of(prepare(run, told)) == want


@pytest.mark.parametrize("turn", [1, -1])
def test_box_labels_come_before_spans_in_either_order(turn: int) -> None:
    run = make_run(Clip("a.mp4", 4))
    spans = spans_truth(("a.mp4", 0, 9, "gun"))
    boxes = boxes_truth("a.mp4", {0: [], 1: [G]}, ignored=[2])
    prepared = prepare(run, combine([spans, boxes][::turn]))
    assert labels_of(prepared) == ["negative", "positive", "ignored", "positive"]
    assert prepared.labels.has_boxes.tolist() == [True, True, False, False]


def test_overlapping_spans_ignore_before_target_before_none() -> None:
    run = make_run(Clip("a.mp4", 3, fps=1))
    told = spans_truth(("a.mp4", 0, 1, "ignore"), ("a.mp4", 0, 2, "gun"), ("a.mp4", 0, 3, "none"))
    assert labels_of(prepare(run, told)) == ["ignored", "positive", "negative"]


def test_unlabelled_frames_are_negative_only_when_asked_and_it_is_said() -> None:
    run = make_run(Clip("a.mp4", 4), Clip("b.mp4", 4))
    truth = boxes_truth("a.mp4", {0: [G]})
    skipped = evaluate(run, truth)
    assert skipped.denominators["frames_unlabelled"] == 7
    taken = evaluate(run, truth, rules=Rules(unlabelled="negative"))
    assert taken.denominators["frames_negative"] == 7
    assert taken.rules["unlabelled"] == "negative"
    assert any("taken as negative" in note for note in taken.notes)


def test_decoys_are_no_truth_but_their_frames_are_negative() -> None:
    run = make_run(Clip("a.mp4", 1, detections={0: [(G, 0.9, 0.9)]}))
    prepared = prepare(run, boxes_truth("a.mp4", {}, decoys={0: [G]}))
    assert labels_of(prepared) == ["negative"]
    assert prepared.pairs.decoy.tolist() == [0]


def test_labels_of_one_frame_from_two_sources_must_agree() -> None:
    run = make_run(Clip("a.mp4", 2))
    one, other = boxes_truth("a.mp4", {0: [G]}), boxes_truth("a.mp4", {0: [(5, 5, 9, 9)]})
    assert prepare(run, combine([one, one])).pairs.n_gt.tolist() == [1]
    with pytest.raises(TruthError, match="labelled by both"):
        prepare(run, combine([one, other]))


def test_copies_of_one_file_count_once_under_either_name() -> None:
    same = {"media_id": "same", "detections": {0: [(G, 0.9, 0.9)]}}
    run = make_run(Clip("a.mp4", 2, **same), Clip("b/copy.mp4", 2, **same))
    figures = evaluate(run, boxes_truth("b/copy.mp4", {0: [G]}))
    assert figures.denominators["media"] == 1
    assert figures.arms["cascade"]["box"]["tp"] == 1


def test_fractions_are_placed_with_the_size_that_the_run_knows() -> None:
    from forensics.truth.base import MediaBuilder, Truth

    builder = MediaBuilder("s", "s.txt", suffix_known=False, normalised=True)
    builder.add_box(0, (0, 0, 0.5, 0.25), "gun", "s.txt:1", size=(1, 1))
    truth = Truth(media=(builder.build(),), classes=("gun",))
    run = make_run(Clip("d/s.jpg", 1, kind="still", size=(200, 100)))
    assert prepare(run, truth).labels.boxes.xyxy.tolist() == [[0, 0, 100, 25]]
    with pytest.raises(TruthError, match="does not know the size"):
        prepare(make_run(Clip("d/s.jpg", 1, kind="still", size=(0, 0))), truth)


def test_positive_frames_that_were_not_processed_still_make_an_incident() -> None:
    run = make_run(Clip("a.mp4", 40, fps=1, every=10))
    truth = boxes_truth("a.mp4", {13: [G], 14: [G]})
    prepared = prepare(run, truth, Rules(gap_s=1, collar_s=0))
    assert prepared.incidents.start_s.tolist() == [13.0]
    assert prepared.incidents.seen.tolist() == [False]
    assert any("2 labelled frames with a target" in note for note in prepared.labels.notes)
    late = prepare(run, boxes_truth("a.mp4", {35: [G]}), Rules(gap_s=1, collar_s=0))
    assert late.incidents.start_s.tolist() == [35.0]


@pytest.mark.parametrize(
    ("point", "thresholds", "message"),
    [
        (OperatingPoint(0.04, 0.5), {"floor": 0.05}, "logging floor"),
        (OperatingPoint(0.2, 0.5), {"gate": 0.25}, "classification gate"),
        (OperatingPoint(1.5, 0.5), {}, "between 0 and 1"),
        (OperatingPoint(float("nan"), 0.5), {}, "between 0 and 1"),
    ],
)
def test_thresholds_that_the_log_cannot_answer_are_refused(point, thresholds, message) -> None:
    run = make_run(Clip("a.mp4"), thresholds=thresholds)
    with pytest.raises(ForensicsError, match=message):
        evaluate(run, spans_truth(("a.mp4", 0, 9, "none")), operating_point=point)


def test_floor_and_gate_are_compared_as_the_scores_are_stored() -> None:
    run = make_run(Clip("a.mp4"), thresholds={"floor": float(np.float32(0.1)), "gate": 0.3})
    truth = spans_truth(("a.mp4", 0, 9, "none"))
    for point in (OperatingPoint(0.1, None), OperatingPoint(float(np.float32(0.3)), 0.5)):
        found = evaluate(run, truth, operating_point=point).to_json()
        assert found["operating_point"]["detector"] == point.detector
        assert found["denominators"]["frames_negative"] > 0


def test_detections_of_unlisted_frames_are_a_damaged_run() -> None:
    run = make_run(Clip("a.mp4", 3, detections={0: [(G, 0.9, 0.9)]}))
    object.__setattr__(run, "frames", run.frames.slice(1))
    with pytest.raises(RunLogError, match="unlisted frames"):
        prepare(run, None)


def test_a_frame_listed_twice_is_a_damaged_run() -> None:
    run = make_run(Clip("a.mp4", 3))
    object.__setattr__(run, "frames", run.frames.take([0, 0, 1]))
    with pytest.raises(RunLogError, match="frame twice"):
        prepare(run, None)


@pytest.mark.parametrize(
    "wrong", [{"iou": 0}, {"gap_s": -1}, {"collar_s": -1}, {"confirm_hits": 2}, {"unlabelled": "x"}]
)
def test_rules_that_make_no_sense_are_refused(wrong) -> None:
    with pytest.raises(ForensicsError, match="correct the option"):
        Rules(**wrong)
