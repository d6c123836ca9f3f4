"""Damaged footage: noticed, marked, and read on after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.types import Status
from tests.support.clips import damage, mutate, truncate, write_clip
from tests.support.decoding import Decoding, decode

ONE_SLICE = {"crf": "18"}
FORMATS = {
    "mp4": {"options": ONE_SLICE, "muxer": {"movflags": "faststart"}},
    "mkv": {"options": ONE_SLICE},
    "ts": {"options": ONE_SLICE},
    "avi": {"codec": "mpeg4"},
}


def clip(folder: Path, kind: str, frames: int = 100) -> Path:
    return write_clip(folder / f"c.{kind}", frames=frames, size=(320, 240), **FORMATS[kind])


def check_end(seen: Decoding) -> None:
    """What must hold whatever was decoded."""
    assert seen.end.status in set(Status)
    assert bool(seen.end.reason) or seen.end.status is Status.OK
    indices = [frame.index for frame in seen.frames]
    assert indices == list(range(len(indices)))
    if "frames_decoded" in seen.end.facts:
        assert seen.end.facts["frames_decoded"] == len(indices)
        assert seen.end.facts["frames_suspect"] == sum(f.suspect for f in seen.frames)


@pytest.mark.parametrize("keep", [0.9, 0.5])
@pytest.mark.parametrize("kind", FORMATS)
def test_cut_off(tmp_path: Path, kind: str, keep: float) -> None:
    seen = decode(truncate(clip(tmp_path, kind), keep))
    check_end(seen)
    assert seen.end.status is Status.PARTIAL
    assert 0 < len(seen.frames) < 100
    whole = [frame for frame in seen.frames if not frame.suspect]
    assert [frame.number for frame in whole] == [frame.index for frame in whole]
    facts = seen.end.facts
    if kind == "ts":  # nothing says how long it was
        assert facts["frames_missing"] is None
    else:
        lost = facts["frames_lost"] + facts["frames_missing"]
        assert lost == pytest.approx(100 - len(seen.frames), abs=2)


def test_cut_off_between_transport_packets_cannot_be_known(tmp_path: Path) -> None:
    """Documents a limit: only a hash taken when the file was seized reveals this."""
    path = clip(tmp_path, "ts")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 // 188 * 188])
    seen = decode(path)
    check_end(seen)
    assert 0 < len(seen.frames) < 100
    assert not seen.end.facts["frames_missing"]  # nothing says that there was more


@pytest.mark.parametrize("kind", FORMATS)
def test_a_hole_in_the_middle_is_read_past(tmp_path: Path, kind: str) -> None:
    seen = decode(damage(clip(tmp_path, kind), 0.40, 0.44))
    check_end(seen)
    assert seen.end.status is Status.PARTIAL
    numbers = [frame.number for frame in seen.frames if not frame.suspect]
    assert {0, 10, 20}.issubset(numbers)
    assert {80, 90, 99}.issubset(numbers), "reading stopped at the damage"
    assert any(frame.suspect for frame in seen.frames) or len(seen.frames) < 100
    lost = 100 - len(seen.frames)
    assert seen.end.facts["frames_lost"] == pytest.approx(lost, abs=2), seen.end.reason


@pytest.mark.parametrize("kind", ["mp4", "ts"])
def test_unmarked_frames_after_damage_are_whole(tmp_path: Path, kind: str) -> None:
    """Frame numbers are burnt in: an unmarked frame shows the number that its time says."""
    seen = decode(damage(clip(tmp_path, kind), 0.30, 0.33, seed=5))
    start_s = seen.frames[0].time_s
    assert start_s is not None
    wrong = [
        frame.index
        for frame in seen.frames
        if not frame.suspect
        and frame.time_s is not None
        and frame.number != round((frame.time_s - start_s) * 25)
    ]
    assert wrong == []


def test_a_mark_ends_at_the_next_sound_keyframe(tmp_path: Path) -> None:
    seen = decode(damage(clip(tmp_path, "mp4"), 0.40, 0.42))
    marked = [frame.suspect for frame in seen.frames]
    assert any(marked)
    after = marked.index(True)
    first_clean = next(f for f in seen.frames[after:] if not f.suspect)
    assert first_clean.keyframe
    assert not any(marked[-30:])


def test_damage_is_decoded_alike_every_time(tmp_path: Path) -> None:
    path = damage(clip(tmp_path, "mp4"), 0.3, 0.5)
    first, second = decode(path), decode(path)
    assert first.end == second.end
    assert [(f.pts, f.suspect, f.rgb.tobytes()) for f in first.frames] == [
        (f.pts, f.suspect, f.rgb.tobytes()) for f in second.frames
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_mutant_comes_to_exactly_one_end(tmp_path: Path, kind: str) -> None:
    data = clip(tmp_path, kind, frames=40).read_bytes()
    path = tmp_path / f"mutant.{kind}"
    ends = set()
    for number in range(10):
        path.write_bytes(mutate(data, seed=1000 * len(kind) + 7 * number + ord(kind[0])))
        seen = decode(path, silence_s=20)
        check_end(seen)
        assert seen.end.status not in {Status.CRASHED, Status.TIMEOUT}, seen.end.reason
        ends.add(seen.end.status)
    assert len(ends) > 1


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    path = clip(tmp_path, "avi")
    data = bytearray(path.read_bytes())
    strh = data.index(b"strh")
    data[strh + 40 : strh + 44] = (5000).to_bytes(4, "little")
    path.write_bytes(data)
    seen = decode(path)
    assert seen.end.status is Status.PARTIAL
    assert seen.end.facts["frames_lost"] + seen.end.facts["frames_missing"] == 4900
