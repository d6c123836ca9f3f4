"""Recordings and streams that begin within a file: none may vanish."""

from __future__ import annotations

import random
from pathlib import Path

import av
import numpy as np
import pytest

from forensics.footage.layout import transport_layout
from forensics.types import Status
from tests.support.clips import numbered_frame, write_clip
from tests.support.decoding import Decoding, decode

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
