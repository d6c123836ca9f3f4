"""How long footage without a target was watched, and incidents of footage nobody could read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from forensics.errors import TruthError
from forensics.evaluation import prepare
from forensics.evaluation.evaluate import evaluate_prepared
from forensics.evaluation.ledger import frame_lengths
from forensics.evaluation.rules import Rules
from forensics.report.clock import clocks
from forensics.truth.base import combine

from .helpers import Clip, boxes_truth, make_run, spans_truth, strict_json

GUN = (10, 10, 50, 50)


def judged(run, truth, rules: Rules | None = None):
    return evaluate_prepared(prepare(run, truth, rules or Rules())).to_json()


def hours(result) -> float:
    return result["denominators"]["hours_negative"]


def test_a_frame_before_a_hole_lasts_as_long_as_the_others() -> None:
    assert frame_lengths(np.array([0, 0.1, 0.2, 60, 60.1]), 0.0) == pytest.approx([0.1] * 5)
    # A camera that drops to a frame a second is watched all the same.
    assert frame_lengths(np.array([0, 0.1, 0.2, 1.1]), 0.0) == pytest.approx([0.1, 0.1, 0.9, 0.1])
    # So is a pause that the scan itself made.
    assert frame_lengths(np.array([0, 0.1, 0.2, 60]), 60.0) == pytest.approx([0.1, 0.1, 59.8, 0.1])
    assert frame_lengths(np.array([7.0]), 0.0).tolist() == [0.0]
    assert frame_lengths(np.zeros(0), 0.0).tolist() == [0.0]


@pytest.mark.parametrize("between", ["none", "ignore", None])
def test_time_in_which_nothing_was_recorded_was_not_watched(between: str | None) -> None:
    """As recorders write that start on motion: the clock goes on, frames do not."""
    times = [i / 10 for i in range(100)] + [3600 + i / 10 for i in range(100)]
    run = make_run(Clip("a.mp4", n_frames=200, times_s=times))
    spans = [("a.mp4", 0, 10, "none"), ("a.mp4", 3600, 3610, "none")]
    if between:
        spans.append(("a.mp4", 10, 3600, between))
    assert hours(judged(run, spans_truth(*spans))) == pytest.approx(20 / 3600)
    clock = clocks(run)["id-a.mp4"]
    assert clock.recorded(0, 3610) == pytest.approx(20)
    assert clock.recorded(5, 3605) == pytest.approx(10)


def test_static_footage_was_watched_up_to_its_refresh() -> None:
    run = make_run(Clip("a.mp4", n_frames=41, times_s=[i / 10 for i in range(20)] + [
        2 + 30 * i for i in range(1, 22)]))  # fmt: skip
    run.manifest["sampling"] = {"time_step_s": None, "static": {"refresh_s": 30.0}}
    assert hours(judged(run, spans_truth(("a.mp4", 0, 1000, "none")))) > 600 / 3600


@pytest.mark.parametrize("fps", [25.0, 29.97, 30000 / 1001])
def test_a_clip_that_is_all_incident_has_no_time_without_one(fps: float) -> None:
    """Subtracting equal times leaves 1e-19 hours, of either sign, and a limit of 1e19 an hour."""
    clip = Clip("a.mp4", n_frames=30, fps=fps, start_s=1.4)
    truth = spans_truth(("a.mp4", 0, 1.9, "none"), ("a.mp4", 1.9, 3.3, "gun"))
    result = judged(make_run(clip), truth, Rules(collar_s=5.0))
    assert hours(result) == 0
    assert result["arms"]["cascade"]["event"]["false_alerts_per_camera_hour"]["high"] is None


LOST = Clip("lost.mp4", n_frames=0, status="unreadable")
SEEN = Clip("a.mp4", detections={n: [(GUN, 0.9, 0.9)] for n in range(3)})


@pytest.mark.parametrize("identity", [None, "hash-of-lost"])
def test_an_incident_in_a_file_that_could_not_be_read_is_missed(identity: str | None) -> None:
    lost = spans_truth(("lost.mp4", 0, 1, "gun")), boxes_truth("lost.mp4", {3: [GUN], 4: [GUN]})
    for labels in lost:
        run = make_run(SEEN, LOST)
        if identity:
            row = run.media.column_names.index("media_id")
            ids = ["id-a.mp4", identity]
            media = run.media.set_column(row, run.media.schema.field(row), [ids])
            run = type(run)(run.folder, run.manifest, media, run.coverage, run.frames,
                            run.detections)  # fmt: skip
        result = judged(run, combine([spans_truth(("a.mp4", 0, 0.3, "gun")), labels]))
        event = result["arms"]["cascade"]["event"]
        assert (event["incidents"], event["detected"]) == (2, 1)
        assert not any("not in the run" in note for note in result["notes"])


def test_a_video_without_a_clock_takes_no_part_at_event_level() -> None:
    clockless = Clip(
        "b.mp4", times_s=[None] * 10, detections={n: [(GUN, 0.9, 0.9)] for n in range(10)}
    )
    truth = spans_truth(("a.mp4", 0, 0.3, "gun"), ("b.mp4", 0, 1, "gun"))
    result = judged(make_run(SEEN, clockless), truth)
    event = result["arms"]["cascade"]["event"]
    assert (event["incidents"], event["detected"]) == (1, 1)
    assert any("b.mp4" in note and "left out" in note for note in result["notes"])


def frames_of(start: int, stop: int, boxes=None):
    return boxes_truth("a.mp4", {n: (boxes or {}).get(n, []) for n in range(start, stop)})


def test_jobs_that_overlap_are_joined() -> None:
    run = make_run(Clip("a.mp4", n_frames=30))
    same = {9: [GUN]}
    result = judged(run, combine([frames_of(0, 12, same), frames_of(8, 30, {**same, 20: [GUN]})]))
    counted = result["denominators"]
    assert (counted["frames_positive"], counted["frames_negative"]) == (2, 28)


def test_equal_boxes_of_other_frames_are_no_repeat() -> None:
    run = make_run(Clip("a.mp4", n_frames=30))
    result = judged(run, combine([frames_of(0, 12, {3: [GUN]}), frames_of(8, 30, {20: [GUN]})]))
    assert result["denominators"]["frames_positive"] == 2


def test_jobs_that_contradict_are_refused() -> None:
    run = make_run(Clip("a.mp4", n_frames=30))
    with pytest.raises(TruthError, match="frame 8 is labelled by both"):
        prepare(run, combine([frames_of(0, 12, {9: [GUN]}), frames_of(8, 30)]), Rules())


def test_no_number_beyond_json() -> None:
    clip = Clip("a.mp4", n_frames=30, fps=25.0, start_s=1.4)
    result = judged(make_run(clip), spans_truth(("a.mp4", 0, 9, "gun")))
    assert strict_json(json.dumps(result))
