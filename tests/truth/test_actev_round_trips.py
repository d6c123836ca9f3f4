"""ActEV: an output with its two indices, written and read; what it loses, it says."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import TruthError
from forensics.truth import WRITERS, MediaTruth, Span, Truth, load_truth
from forensics.truth.base import MediaBuilder

RATES = {"a.mp4": 10.0, "b_2.mkv": 29.97}
LONGEST = 60  # frames
Frames = set[int]


def medium(name: str, spans: list[Span]) -> MediaTruth:
    builder = MediaBuilder(name, "t")
    for span in spans:
        builder.add_span(span)
    return builder.build()


@st.composite
def truths(draw) -> Truth:
    """Spans of whole frames: the judged ones as truth, so that every class may lie in any place."""
    media = []
    for name in sorted(draw(st.sets(st.sampled_from(sorted(RATES)), min_size=1))):
        rate, spans = RATES[name], []
        for _ in range(draw(st.integers(1, 6))):
            start = draw(st.integers(0, LONGEST - 1))
            stop = draw(st.integers(start + 1, LONGEST))
            label = draw(st.sampled_from(["gun", "Bürste & Kamm", "none", "ignore"]))
            spans.append(Span(start / rate, stop / rate, label, False, ""))
        media.append(medium(name, spans))
    return Truth(tuple(media), declared=("bag",))


def frames_of(spans: list[Span], rate: float) -> Frames:
    """The 0-based frames that lie in spans, by their middles."""
    return {
        frame
        for frame in range(LONGEST + 1)
        for span in spans
        if span.start_s <= (frame + 0.5) / rate < span.end_s
    }


def said(media: MediaTruth, *, rate: float) -> tuple[Frames, dict[str, Frames]]:
    """What a truth means: the frames that are judged, and of these the frames of each class."""
    by_class = {
        label: frames_of([span for span in media.spans if span.label == label], rate)
        for label in sorted({span.label for span in media.spans})
    }
    judged = set().union(*by_class.values()) - by_class.get("ignore", set())
    kinds = set(by_class) - {"none", "ignore"}
    return judged, {kind: by_class[kind] & judged for kind in kinds if by_class[kind] & judged}


@settings(max_examples=100, deadline=None)
@given(truths())
def test_what_was_judged_and_found_comes_back(truth: Truth) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.json")
        losses = WRITERS["actev"](truth, path, frame_rates=RATES)
        assert not losses
        for kind in (None, "actev"):
            read = load_truth([Path(folder)], kind)
            assert read.skipped == ("out.activity-index.json", "out.file-index.json")
    used = {s.label for media in truth.media for s in media.spans} - {"none", "ignore"}
    assert set(read.declared) == {"bag"} | used
    again = {media.name: media for media in read.media}
    assert set(again) == {media.name for media in truth.media}
    for media in truth.media:
        rate = RATES[media.name]
        assert said(again[media.name], rate=rate) == said(media, rate=rate)


def test_the_three_files_as_nist_s_scorer_takes_them(tmp_path: Path) -> None:
    """Frames from 1; an activity ends in the frame that is not in it; one file per activity."""
    spans = [
        Span(1.0, 2.0, "gun", False, ""),
        Span(4.0, math.inf, "none", False, ""),
        Span(5.0, 5.5, "ignore", False, ""),
    ]
    truth = Truth((medium("cam 1/a.mp4", spans), medium("b_2.mkv", spans[:1])))
    rates = {"cam 1/a.mp4": 10.0, "b_2.mkv": 25.0}
    path = tmp_path / "out.json"
    losses = WRITERS["actev"](truth, path, frame_rates=rates, durations={"cam 1/a.mp4": 6.0})
    assert losses == ("cam 1/a.mp4: written as a.mp4; names of ActEV have no folders",)
    gun = {"activity": "gun", "presenceConf": 1.0}
    assert json.loads(path.read_text()) == {
        "filesProcessed": ["a.mp4", "b_2.mkv"],
        "activities": [
            gun | {"activityID": 1, "localization": {"a.mp4": {"11": 1, "21": 0}}},
            gun | {"activityID": 2, "localization": {"b_2.mkv": {"26": 1, "51": 0}}},
        ],
    }
    assert json.loads((tmp_path / "out.file-index.json").read_text()) == {
        "a.mp4": {
            "framerate": 10.0,
            "selected": {"11": 1, "21": 0, "41": 1, "51": 0, "56": 1, "61": 0},
        },
        "b_2.mkv": {"framerate": 25.0, "selected": {"26": 1, "51": 0}},
    }
    assert json.loads((tmp_path / "out.activity-index.json").read_text()) == {"gun": {}}


def test_what_is_lost_is_named(tmp_path: Path) -> None:
    media = medium("a.mp4", [Span(0.04, 1.0, "gun", True, "")])
    still = MediaBuilder("s.jpg", "t")
    still.add_box(0, (0, 0, 5, 5), "gun", "")
    truth = Truth((media, still.build()))
    losses = WRITERS["actev"](truth, tmp_path / "out.json", frame_rates=RATES)
    assert losses == (
        "s.jpg: 1 frames with 1 boxes are left out; this file has spans",
        "a.mp4: times are rounded to frames, by up to 0.04 s",
        "a.mp4: 1 spans are planted, which ActEV cannot say",
    )


OPEN = [Span(0.0, math.inf, "gun", False, "")]
SHORT = [Span(0.0, 1.0, "gun", False, "")]


@pytest.mark.parametrize(
    ("media", "message"),
    [
        ([medium("c.mp4", SHORT)], "c.mp4: the format needs its frame rate"),
        ([medium("a.mp4", OPEN)], "a.mp4: a span is open to the end"),
        ([medium("Süd 1.mp4", SHORT)], r"ActEV names cannot hold 'ü '; rename"),
        ([medium("x/a.mp4", SHORT), medium("y/a.mp4", SHORT)], "y/a.mp4: x/a.mp4 would be called"),
    ],
)
def test_what_cannot_be_said_is_refused(media, message: str, tmp_path: Path) -> None:
    rates = RATES | {"x/a.mp4": 10.0, "y/a.mp4": 10.0, "Süd 1.mp4": 10.0}
    with pytest.raises(TruthError, match=message):
        WRITERS["actev"](Truth(tuple(media)), tmp_path / "out.json", frame_rates=rates)
    assert not list(tmp_path.iterdir())


def test_no_file_is_written_where_one_is_there(tmp_path: Path) -> None:
    media = MediaBuilder("clip.mp4", "t")
    media.add_span(Span(0, 1, "gun", False, ""))
    (tmp_path / "out.file-index.json").write_text("mine")
    with pytest.raises(TruthError, match="is there already"):
        WRITERS["actev"](
            Truth((media.build(),)), tmp_path / "out.json", frame_rates={"clip.mp4": 5.0}
        )
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
