"""Every writer against its reader: what comes back is what went in, up to the loss it states."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import TruthError
from forensics.truth import load_truth
from forensics.truth.base import MediaBuilder, MediaTruth, Span, Truth
from forensics.truth.mot import CLASS_NAMES
from forensics.truth.write import WRITERS

QUICK = settings(max_examples=60, deadline=None)
SIZE = (640, 480)
VIDEOS = ("clip.mp4", "cam 1/clip.mkv", "cam1/day/a.b.avi")
STILLS = ("still.jpg", "cam1/s.png")
LABELS = st.sampled_from(["gun", "cell phone", "Bürste", "a & <b>", "4"])
FRAMES = st.sets(st.integers(0, 40), min_size=1, max_size=8)
EVEN = st.builds(
    lambda start, step, n: set(range(start, start + step * n, step)),
    st.integers(0, 9),
    st.integers(1, 7),
    st.integers(1, 6),
)
WHOLE = st.integers(1, 8).map(lambda n: set(range(n)))
SHARES = st.floats(0, 0.9, allow_subnormal=False)
EXTENTS = st.floats(0.001, 0.1, allow_subnormal=False)


@st.composite
def a_medium(draw, name: str, frames, labels, *, flags=True, ignored=True, normalised=False):
    builder = MediaBuilder(name, "t", normalised=normalised)
    held = sorted(draw(frames)) if name in VIDEOS else [0]
    for frame in held:
        builder.add_frame(frame, ignore=ignored and draw(st.booleans()))
    scale = np.ones(4) if normalised else np.array([*SIZE, *SIZE], float)
    for frame in draw(st.lists(st.sampled_from(held), max_size=5)):
        x, y, width, height = (draw(v) for v in (SHARES, SHARES, EXTENTS, EXTENTS))
        xyxy = np.array([x, y, x + width, y + height]) * scale
        builder.add_box(
            frame,
            xyxy.tolist(),
            draw(labels),
            "",
            ignore=flags and draw(st.booleans()),
            planted=flags and draw(st.booleans()),
        )
    return builder.build()


@st.composite
def truths(draw, frames=FRAMES, labels=LABELS, names=VIDEOS + STILLS, **options) -> Truth:
    chosen = draw(st.sets(st.sampled_from(names), min_size=1, max_size=3))
    normalised = draw(st.booleans())
    media = [
        draw(a_medium(name, frames, labels, normalised=normalised, **options))
        for name in sorted(chosen)
    ]
    return Truth(tuple(media))


def back(truth: Truth, kind: str, **options) -> tuple[dict[str, MediaTruth], tuple[str, ...]]:
    """Write and read again: media by name, and what the writer said is lost."""
    if kind != "spans":
        options |= {"sizes": {media.name: SIZE for media in truth.media}}
    one_file = dict.fromkeys(("coco", "megadetector", "fiftyone"), ".json")
    suffix = (one_file | {"spans": ".csv"}).get(kind, "")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, f"out{suffix}")
        losses = WRITERS[kind](truth, target, **options)
        for format_ in (None, kind):
            read = load_truth([target], format_)
            assert not read.problems
    return {media.name: media for media in read.media}, losses


def assert_same(given: MediaTruth, read: MediaTruth, *, pixels: bool, planted: bool = True) -> None:
    """The same frames, and the same boxes, in the same order but for the last digits."""
    assert read.frames.tolist() == given.frames.tolist()
    assert read.ignored.tolist() == given.ignored.tolist()
    assert read.normalised is not pixels
    scale = np.array([*SIZE, *SIZE], float)
    want = given.boxes.xyxy * (scale if pixels and given.normalised else 1)
    want = want / (scale if not pixels and not given.normalised else 1)
    assert read.boxes.xyxy == pytest.approx(want, abs=1e-6)
    assert read.boxes.frame_index.tolist() == given.boxes.frame_index.tolist()
    assert read.boxes.label == given.boxes.label
    assert read.boxes.ignore.tolist() == given.boxes.ignore.tolist()
    if planted:
        assert read.boxes.planted.tolist() == given.boxes.planted.tolist()


@QUICK
@given(truths(), st.sampled_from(["coco", "voc"]))
def test_coco_and_voc_lose_nothing_of_frames(truth: Truth, kind: str) -> None:
    read, losses = back(truth, kind)
    assert set(read) == {media.name for media in truth.media} and not losses
    for media in truth.media:
        assert_same(media, read[media.name], pixels=True)


@QUICK
@given(truths())
def test_megadetector_loses_nothing_of_frames(truth: Truth) -> None:
    read, losses = back(truth, "megadetector", frame_rates=dict.fromkeys(VIDEOS, 12.5))
    assert set(read) == {media.name for media in truth.media} and not losses
    for media in truth.media:
        assert_same(media, read[media.name], pixels=False)


@QUICK
@given(truths())
def test_fiftyone_loses_pictures_and_nothing_of_frames(truth: Truth) -> None:
    stills = {media.name for media in truth.media if media.name in STILLS}
    if len(stills) == len(truth.media):
        return
    read, losses = back(truth, "fiftyone")
    assert set(read) == {media.name for media in truth.media} - stills
    assert {loss.partition(": a picture")[0] for loss in losses} == stills
    for media in truth.media:
        if media.name in read:
            assert_same(media, read[media.name], pixels=False)


@QUICK
@given(truths(frames=EVEN))
def test_cvat_loses_nothing_of_frames_at_one_step(truth: Truth) -> None:
    read, losses = back(truth, "cvat")
    assert set(read) == {media.name for media in truth.media} and not losses
    for media in truth.media:
        assert_same(media, read[media.name], pixels=True)


@QUICK
@given(
    st.one_of(
        truths(WHOLE, st.sampled_from(CLASS_NAMES), VIDEOS, ignored=False),
        truths(WHOLE, st.just("gun"), VIDEOS, ignored=False),
    )
)
def test_mot_loses_only_planted(truth: Truth) -> None:
    read, losses = back(truth, "mot")
    assert set(read) == {media.name for media in truth.media}
    for media in truth.media:
        assert_same(media, read[media.name], pixels=True, planted=False)
        said = any(loss.startswith(f"{media.name}: ") and "planted" in loss for loss in losses)
        assert said == media.boxes.planted.any()


@QUICK
@given(truths())
def test_yolo_keeps_negatives_and_leaves_out_what_is_ignored(truth: Truth) -> None:
    read, losses = back(truth, "yolo") if _any_file(truth) else ({}, ())
    by_end = {name.partition("/images/")[2]: media for name, media in read.items()}
    expected: dict[str, list[tuple[str, list[float]]]] = {}
    for media in truth.media:
        boxes = media.boxes
        left_out = {*media.frames[media.ignored], *boxes.frame_index[boxes.ignore]}
        if left_out and read:
            assert any(loss.startswith(f"{media.name}: {len(left_out)} frames") for loss in losses)
        scale = 1 if media.normalised else np.array([*SIZE, *SIZE], float)
        for frame in set(media.frames.tolist()) - left_out:
            stem = media.name.rpartition(".")[0]
            name = stem if media.name in STILLS else f"{stem}_{frame:06d}"
            held = np.flatnonzero(boxes.frame_index == frame).tolist()
            xyxy = boxes.xyxy / scale
            expected[name] = [(boxes.label[box], xyxy[box].tolist()) for box in held]
    assert set(by_end) == set(expected)
    for name, boxes_ in expected.items():
        assert by_end[name].boxes.label == tuple(label for label, _ in boxes_)
        assert by_end[name].boxes.xyxy == pytest.approx(
            np.array([xyxy for _, xyxy in boxes_]).reshape(-1, 4), abs=1e-9
        )


def _any_file(truth: Truth) -> bool:
    return any(
        set(media.frames.tolist())
        - {*media.frames[media.ignored], *media.boxes.frame_index[media.boxes.ignore]}
        for media in truth.media
    )


@QUICK
@given(
    st.lists(
        st.tuples(
            st.sampled_from(VIDEOS),
            st.floats(-10, 1e6),
            st.floats(0.001, 1e6) | st.just(math.inf),
            st.sampled_from(["gun", "none", "ignore", 'a, "b"']),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_spans_lose_nothing_of_spans(rows) -> None:
    builders: dict[str, MediaBuilder] = {}
    for name, start, length, label, planted in rows:
        builder = builders.setdefault(name, MediaBuilder(name, "t"))
        builder.add_span(Span(start, start + length, label, planted, ""))
    truth = Truth(tuple(builder.build() for builder in builders.values()))
    read, losses = back(truth, "spans")
    assert not losses
    for media in truth.media:
        assert [replace(s, where="") for s in read[media.name].spans] == list(media.spans)


def one(name: str = "clip.mp4", frames=(0,), **options) -> Truth:
    builder = MediaBuilder(name, "t", **options)
    for frame in frames:
        builder.add_frame(frame)
    builder.add_box(frames[0], (0.1, 0.1, 0.5, 0.5), "gun", "")
    return Truth((builder.build(),))


@pytest.mark.parametrize("kind", sorted(set(WRITERS) - {"spans", "actev"}))
def test_spans_that_are_left_out_are_named(kind: str, tmp_path: Path) -> None:
    truth = one(normalised=True)
    media = replace(truth.media[0], spans=(Span(0, 1, "gun", False, ""),))
    options = {"frame_rates": {"clip.mp4": 25.0}} if kind == "megadetector" else {}
    losses = WRITERS[kind](Truth((media,)), tmp_path / "out", sizes={"clip.mp4": SIZE}, **options)
    assert any(loss.startswith("clip.mp4: 1 spans") for loss in losses)


def test_folders_that_mot_leaves_out_are_named(tmp_path: Path) -> None:
    truth = one("cam1/clip", suffix_known=False)
    (loss,) = WRITERS["mot"](truth, tmp_path / "out", sizes={"cam1/clip": SIZE})
    assert loss.startswith("cam1/clip: its folders are left out")
    assert [media.name for media in load_truth([tmp_path / "out"]).media] == ["clip"]


def test_frames_that_spans_leave_out_are_named(tmp_path: Path) -> None:
    (loss,) = WRITERS["spans"](one(), tmp_path / "out.csv")
    assert loss.startswith("clip.mp4: 1 frames with 1 boxes")


@pytest.mark.parametrize(
    ("kind", "truth", "message"),
    [
        ("coco", one(normalised=True), "give the picture's size"),
        ("voc", one(normalised=True), "give the picture's size"),
        ("yolo", one(), "give the picture's size"),
        ("megadetector", one(), "frame rate"),
        ("fiftyone", one(), "give the picture's size"),
        ("mot", one(frames=(0, 2)), "left out"),
        ("cvat", one(frames=(0, 2, 3)), "one step"),
        ("yolo", one("../../x.mp4", normalised=True), "rename"),
        ("voc", one("a/../../x.mp4"), "rename"),
        ("voc", one("a\x00.mp4"), "rename"),
        ("cvat", one("a\x1b.mp4"), "rename"),
    ],
)
def test_what_a_format_cannot_say_is_refused(kind, truth, message, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=message):
        WRITERS[kind](truth, tmp_path / "out")


def test_writers_put_no_labels_over_others(tmp_path: Path) -> None:
    WRITERS["voc"](one(), tmp_path / "out")
    with pytest.raises(TruthError, match="holds files already"):
        WRITERS["voc"](one(), tmp_path / "out")
    for kind in ("coco", "spans", "fiftyone", "megadetector"):
        options = {} if kind == "spans" else {"sizes": {"a.jpg": SIZE}}
        target = tmp_path / f"mine.{kind}"
        target.write_text("an only copy")
        with pytest.raises(TruthError, match=f"mine.{kind}: is there already; .*--out"):
            WRITERS[kind](one("a.jpg"), target, **options)
        assert target.read_text() == "an only copy"
    both = Truth((*one("a.jpg").media, *one("a.png").media))
    with pytest.raises(TruthError, match="two media"):
        WRITERS["voc"](both, tmp_path / "other")


def test_what_cannot_be_encoded_leaves_nothing_behind(tmp_path: Path) -> None:
    odd = MediaBuilder("\ud800.mp4", "t")
    odd.add_span(Span(0, 1, "gun", False, ""))
    with pytest.raises(TruthError, match="cannot write .*no character"):
        WRITERS["spans"](Truth((odd.build(),)), tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


def test_absolute_names_stay_below_the_target(tmp_path: Path) -> None:
    WRITERS["yolo"](one("/data/set/images/a.jpg", normalised=True), tmp_path / "out")
    WRITERS["voc"](one("/data/set/images/a.jpg"), tmp_path / "voc")
    assert (tmp_path / "out" / "labels" / "a.txt").is_file()
    assert (tmp_path / "voc" / "data" / "set" / "images" / "a.xml").is_file()
