"""Recordings and streams that begin within a file: none may vanish."""

from __future__ import annotations

import random
from pathlib import Path

import av
import numpy as np
import pytest

from forensics.footage.layout import ASF_DATA, transport_layout
from forensics.types import Status
from tests.support.clips import numbered_frame, write_clip
from tests.support.decoding import decode

OTHER_PIDS = {"mpegts_start_pid": "0x300", "mpegts_pmt_start_pid": "0x1100"}


def join(path: Path, *parts: Path | bytes) -> Path:
    """Write files, or bytes, one behind the other."""
    data = [part if isinstance(part, bytes) else part.read_bytes() for part in parts]
    path.write_bytes(b"".join(data))
    return path


def later(first_s: float, frames: int) -> list[float]:
    return [first_s + n / 25 for n in range(frames)]


def with_sound(path: Path, frames: int, first_s: float) -> Path:
    """A transport stream of numbered pictures and silence."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg2video", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 120, "yuv420p"
        sound = container.add_stream("mp2", rate=48000, layout="mono")
        for number in range(frames):
            frame = numbered_frame(number, 160, 120)
            frame.pts = number + round(first_s * 25)
            container.mux(pictures.encode(frame))
            samples = av.AudioFrame.from_ndarray(
                np.zeros((1, 1920), np.int16), format="s16", layout="mono"
            )
            samples.sample_rate, samples.pts = 48000, 1920 * (number + round(first_s * 25))
            container.mux(sound.encode(samples))
        for stream in (pictures, sound):
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("shift", [0, 60])
def test_a_stream_that_begins_late_ends_no_other_one(tmp_path: Path, shift: int) -> None:
    """`shift` bytes of damage move the packets that follow."""
    first = write_clip(tmp_path / "1.ts", frames=30)
    second = write_clip(tmp_path / "2.ts", frames=50, muxer=OTHER_PIDS)
    third = write_clip(tmp_path / "3.ts", frames=30, first=30, times_s=later(1.2, 30))
    path = join(tmp_path / "c.ts", first, bytes(shift), second, third)
    seen = decode(path)
    assert seen.numbers == list(range(60))
    assert seen.end.status is Status.PARTIAL
    found = seen.end.reason.partition("another stream begins at byte ")[2].partition(" ")[0]
    start = first.stat().st_size + shift
    assert start <= int(found) < start + 188 * 5
    assert (int(found) - shift) % 188 == 0
    assert seen.end.facts["other_streams"] == 1
    assert seen.end == decode(path).end


def test_in_packets_of_192_bytes_too(tmp_path: Path) -> None:
    parts = [write_clip(tmp_path / "1.ts", frames=30)]
    parts.append(write_clip(tmp_path / "2.ts", frames=50, muxer=OTHER_PIDS))
    data = b"".join(part.read_bytes() for part in parts)
    packets = [bytes(4) + data[at : at + 188] for at in range(0, len(data), 188)]
    path = join(tmp_path / "c.m2ts", *packets)
    assert transport_layout(str(path)) == (192, 4)
    seen = decode(path)
    assert seen.numbers == list(range(30))
    assert "another stream begins at byte " in seen.end.reason


def test_sound_that_begins_late_is_no_footage(tmp_path: Path) -> None:
    silent = write_clip(tmp_path / "1.ts", frames=400, codec="mpeg2video")
    path = join(tmp_path / "c.ts", silent, with_sound(tmp_path / "2.ts", 20, 16.0))
    seen = decode(path, pictures=False)
    assert len(seen.frames) == 420
    assert "another stream" not in seen.end.reason
    assert seen.end.facts["other_streams"] == 0


CODECS = {"flv": "flv1", "wmv": "wmv2", "mp4": "libx264", "mov": "mpeg4"}


def two(folder: Path, kind: str, between: bytes = b"") -> tuple[Path, int]:
    """Two recordings in one file, and where the second one begins."""
    parts = [
        write_clip(folder / f"{n}.{kind}", frames=20, first=30 * n, codec=CODECS[kind])
        for n in range(2)
    ]
    path = join(folder / f"two.{kind}", parts[0], between, parts[1])
    return path, parts[0].stat().st_size + len(between)


@pytest.mark.parametrize("kind", CODECS)
def test_a_recording_behind_another_one_is_said(tmp_path: Path, kind: str) -> None:
    path, at = two(tmp_path, kind)
    seen = decode(path)
    assert seen.numbers == list(range(20))
    assert seen.end.status is Status.PARTIAL
    assert f"another recording follows at byte {at}" in seen.end.reason
    assert seen.end.facts["frames_missing"] is None, "nobody knows how many"
    assert seen.end.facts["frames_suspect"] == 0


@pytest.mark.parametrize("kind", CODECS)
def test_a_recording_behind_padding_is_said(tmp_path: Path, kind: str) -> None:
    path, at = two(tmp_path, kind, bytes(5000))
    seen = decode(path)
    assert seen.end.status is Status.PARTIAL
    start = at - 5000
    left = path.stat().st_size - start
    assert f"{left} bytes from byte {start} on are no part of its recording" in seen.end.reason


@pytest.mark.parametrize("kind", sorted({*CODECS} - {"flv"}))  # FFmpeg calls that damage
@pytest.mark.parametrize("tail", [bytes(7), bytes(4096), bytes((1 << 20) + 5)])
def test_padding_of_zeroes_is_no_fault(tmp_path: Path, kind: str, tail: bytes) -> None:
    clip = write_clip(tmp_path / f"1.{kind}", frames=20, codec=CODECS[kind])
    seen = decode(join(tmp_path / f"padded.{kind}", clip, tail))
    assert (len(seen.frames), seen.end.status, seen.end.reason) == (20, Status.OK, "")


@pytest.mark.parametrize("kind", ["mp4", "flv"])
@pytest.mark.parametrize("size", [5, 40, 3000])
def test_bytes_that_are_no_part_of_a_recording_are_said(
    tmp_path: Path, kind: str, size: int
) -> None:
    clip = write_clip(tmp_path / f"1.{kind}", frames=20, codec=CODECS[kind])
    tail = b"\xf0" + random.Random(size).randbytes(size - 1)
    seen = decode(join(tmp_path / f"more.{kind}", clip, tail))
    assert (len(seen.frames), seen.end.status) == (20, Status.PARTIAL)
    assert f"{size} bytes from byte {clip.stat().st_size} on are no part" in seen.end.reason


def with_voice(path: Path, codec: str) -> Path:
    """A clip with silence beside its pictures, so that it may well end before its pictures do."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream(codec, rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 120, "yuv420p"
        sound = container.add_stream("mp2" if codec == "wmv2" else "aac", rate=44100, layout="mono")
        for number in range(40):
            frame = numbered_frame(number, 160, 120)
            frame.pts = number
            container.mux(pictures.encode(frame))
        silence = np.zeros((1, 1152), np.int16 if codec == "wmv2" else np.float32)
        kind = "s16" if codec == "wmv2" else "fltp"
        samples = av.AudioFrame.from_ndarray(silence, format=kind, layout="mono")
        samples.sample_rate, samples.pts = 44100, 0
        container.mux(sound.encode(samples))
        for stream in (pictures, sound):
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", ["flv", "wmv"])
def test_a_cut_recording_with_sound_is_said(tmp_path: Path, kind: str) -> None:
    clip = with_voice(tmp_path / f"c.{kind}", CODECS[kind])
    assert decode(clip).end.status is Status.OK
    data = clip.read_bytes()
    seen = decode(join(tmp_path / f"cut.{kind}", data[: len(data) * 3 // 4 - 7]))
    assert len(seen.frames) < 40
    assert seen.end.status is Status.PARTIAL
    assert "the file ends within its last part" in seen.end.reason


def test_an_open_recording_reaches_to_the_end(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.wmv", frames=20, codec="wmv2")
    data = bytearray(clip.read_bytes())
    at = data.index(ASF_DATA) + 16
    data[at : at + 8] = bytes(8)
    seen = decode(join(tmp_path / "open.wmv", bytes(data)))
    assert "no part of its recording" not in seen.end.reason
    assert len(seen.frames) == 20


FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"


@pytest.mark.parametrize("flags", [FRAGMENTS, f"{FRAGMENTS}+skip_trailer", "dash", "faststart"])
def test_fragments_and_their_index_are_one_recording(tmp_path: Path, flags: str) -> None:
    clip = write_clip(tmp_path / "1.mp4", frames=40, muxer={"movflags": flags})
    data = clip.read_bytes()
    if flags != "faststart":
        assert data.count(b"moof") > 2
    assert (b"mfra" in data) == (flags in {FRAGMENTS, "dash"})
    seen = decode(clip)
    assert (seen.numbers, seen.end.status) == (list(range(40)), Status.OK)
    if flags == FRAGMENTS:
        cut = decode(join(tmp_path / "cut.mp4", data[: data.rindex(b"moof") + 20]))
        assert cut.end.status is Status.PARTIAL
        assert "the file ends within its last part" in cut.end.reason


def box(kind: bytes, content: bytes, *, wide: bool = False, open_end: bool = False) -> bytes:
    if wide:
        return (1).to_bytes(4, "big") + kind + (16 + len(content)).to_bytes(8, "big") + content
    return (0 if open_end else 8 + len(content)).to_bytes(4, "big") + kind + content


@pytest.mark.parametrize(
    "tail",
    [
        box(b"free", bytes(100)),
        box(b"udta", b"GPS 52.1 N") + box(b"uuid", bytes(range(40))),
        box(b"skip", b"\xff" * 50, wide=True) + bytes(512),
        box(b"\xa9xyz", b"+52"),
        box(b"free", b"the rest", open_end=True),
    ],
    ids=["free", "udta, uuid", "wide", "copyright", "open"],
)
def test_what_recorders_put_behind_their_footage(tmp_path: Path, tail: bytes) -> None:
    clip = write_clip(tmp_path / "1.mp4", frames=10)
    seen = decode(join(tmp_path / "more.mp4", clip, tail))
    assert (len(seen.frames), seen.end.status, seen.end.reason) == (10, Status.OK, "")


def test_a_second_index_without_a_header_is_another_recording(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "1.mp4", frames=10)
    data = clip.read_bytes()
    at = data.index(b"ftyp") - 4 + int.from_bytes(data[:4], "big")
    seen = decode(join(tmp_path / "two.mp4", clip, data[at:]))
    assert "another recording follows at byte" in seen.end.reason
