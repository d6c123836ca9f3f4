"""What is printed says no more and no less than the figures: thresholds, shares, notes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from forensics.evaluation import prepare
from forensics.evaluation.evaluate import evaluate_prepared
from forensics.evaluation.grid import typed
from forensics.evaluation.levels import DETECTOR, count_arm
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.side_by_side import compare_arms_prepared
from forensics.evaluation.text import render
from forensics.evaluation.text_compare import render_comparison
from forensics.evaluation.text_numbers import number
from forensics.truth.base import combine
from forensics.types import OperatingPoint

from .helpers import Clip, boxes_truth, make_run, spans_truth

ON, AWAY = (10, 10, 50, 50), (300, 300, 40, 40)
TYPED = r"(?:at|threshold) ([0-9.]*[0-9])"


def odd_scores() -> Prepared:
    """Incidents whose scores need more than four digits, in three cameras."""
    found = {
        100: [(ON, 0.91237, 0.95)],
        200: [(ON, 0.98, 0.95)],
        5: [(AWAY, 0.95, 0.1)],
        250: [(AWAY, 0.913, 0.9)],
    }
    clips = [Clip(f"{n}.mp4", 300, camera=f"c{n}", detections=found) for n in range(3)]
    parts = ((0, 9.9, "none"), (9.9, 10.2, "gun"), (10.2, 19.9, "none"), (19.9, 20.2, "gun"))
    spans = [(clip.path, *part) for clip in clips for part in (*parts, (20.2, 30, "none"))]
    return prepare(make_run(*clips), spans_truth(*spans))


def test_a_printed_threshold_finds_what_is_said_of_it() -> None:
    prepared = odd_scores()
    result = evaluate_prepared(prepared).to_json()
    words = " ".join(re.sub("[│|]", " ", render(result)).split())
    both = " ".join(render_comparison(compare_arms_prepared(prepared).to_json()).split())
    for key, starts in (
        ("matched_recall", ("the detector alone needs", "moves its detector threshold")),
        ("matched_false_alarms", ("detector alone (threshold", "At no more false alarm frames")),
    ):
        said = result[key]["detector"]
        for text, start in zip((words, both), starts, strict=True):
            shown = re.search(TYPED, text[text.index(start) :])
            assert shown is not None
            arm = count_arm(prepared, OperatingPoint(float(shown[1]), None), DETECTOR)
            assert arm.event.detected.sum() == said["incidents_detected"]
            assert arm.frame.fp.sum() == said["false_alarm_frames"]
    assert result["matched_recall"]["detector"]["incidents_detected"] == 6


def test_the_operating_point_is_printed_as_it_can_be_typed() -> None:
    point = OperatingPoint(0.9123701, 0.5)
    result = evaluate_prepared(odd_scores(), point).to_json()
    assert "detector threshold 0.9123701, classifier threshold 0.5;" in render(result)
    assert typed(None) == "off" and typed(1.0) == "1" and typed(0.3) == "0.3"


def test_notes_deny_only_what_is_not_defined() -> None:
    """An incident between two processed frames can be found or missed, frames of it cannot."""
    run = make_run(Clip("a.mp4", 40, every=10, detections={0: [(ON, 0.9, 0.9)]}))
    told = spans_truth(("a.mp4", 0, 1.2, "none"), ("a.mp4", 1.2, 1.5, "gun"))
    result = evaluate_prepared(prepare(run, told)).to_json()
    cascade = result["arms"]["cascade"]
    assert cascade["frame"]["recall"] is None and cascade["event"]["recall"] == 1
    notes = [note for note in result["notes"] if "not defined" in note]
    assert notes == ["the truth has no positive frames here: recall of frames is not defined"]
    run = make_run(Clip("a.mp4", 10, detections={0: [(ON, 0.9, 0.9), (AWAY, 0.8, 0.9)]}))
    only = combine([boxes_truth("a.mp4", {0: [ON]}), spans_truth(("a.mp4", 0, 9, "gun"))])
    result = evaluate_prepared(prepare(run, only)).to_json()
    assert result["arms"]["cascade"]["box"]["false_alarms_per_million"]["value"] == 1e6
    assert any("the rate of false alarm frames is not" in note for note in result["notes"])


def test_every_interval_in_the_json_says_how_it_was_made() -> None:
    def check(found: Any) -> int:
        if isinstance(found, list):
            return sum(map(check, found))
        if not isinstance(found, dict):
            return 0
        if {"low", "high"} <= found.keys():
            assert found["method"].startswith("undefined: ") == (found["value"] is None)
            return 1
        return sum(map(check, found.values()))

    result = evaluate_prepared(odd_scores()).to_json()
    assert check(result["strata"]) == len(result["strata"]) > 20
    assert check(result) > len(result["strata"]) + 10
    assert {row["method"].split(",")[0] for row in result["strata"] if row["total"]} == {"Wilson"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.99998, "0.9999"), (0.999949, "0.9999"), (0.9998, "0.9998"), (-0.99998, "-0.9999"),
        (1.0, "1"), (1.00001, "1"), (0.0, "0"), (1e-7, "1e-07"), (0.00012345, "0.0001234"),
        (999.99, "1000"), (1234.56, "1,234.6"), (12345, "12,345"), (None, "n/a"),
    ],
)  # fmt: skip
def test_a_share_never_rounds_to_none_or_all(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize("seed", range(3))
def test_typed_thresholds_read_back_as_the_same_number(seed: int) -> None:
    scores = np.random.default_rng(seed).random(500).astype(np.float32)
    assert [np.float32(typed(score)) for score in scores] == scores.tolist()
