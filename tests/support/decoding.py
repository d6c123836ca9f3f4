"""Decode a file in the child process and keep what it says."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from forensics.footage.protocol import DecodeRequest, Sampling
from forensics.footage.reader import Drain, Ended, FrameReader, Opened, SegmentStart, StillDone
from forensics.types import Frame, ImageArray, StreamInfo
from tests.support.clips import read_number

NOTHING: ImageArray = np.empty((0, 0, 3), np.uint8)


@dataclass
class Seen:
    """A frame, copied out of the shared memory."""

    index: int
    pts: int | None
    time_s: float | None
    keyframe: bool
    suspect: bool
    rgb: ImageArray
    view: ImageArray

    @property
    def number(self) -> int:
        return read_number(self.rgb)


@dataclass
class Decoding:
    """Everything that came out of one request."""

    info: StreamInfo | None = None
    frames: list[Seen] = field(default_factory=list)
    segments: list[SegmentStart] = field(default_factory=list)
    stills: list[StillDone] = field(default_factory=list)
    drains: int = 0
    ended: Ended | None = None

    @property
    def end(self) -> Ended:
        assert self.ended is not None
        return self.ended

    @property
    def numbers(self) -> list[int]:
        return [frame.number for frame in self.frames]


def request_for(*paths: Path, **changes: Any) -> DecodeRequest:
    values: dict[str, Any] = {
        "paths": tuple(map(str, paths)),
        "stills": False,
        "imgsz": 64,
        "max_pixels": 50_000_000,
        "segment_s": 60.0,
        "sampling": Sampling(),
    }
    return DecodeRequest(**{**values, **changes})


def decode(
    *paths: Path,
    slots: int = 5,
    silence_s: float = 60.0,
    pictures: bool = True,
    **changes: Any,
) -> Decoding:
    """Decode to the end, holding one frame at a time."""
    seen = Decoding()
    with FrameReader(request_for(*paths, **changes), slots=slots, silence_s=silence_s) as reader:
        for event in reader.events():
            assert seen.ended is None, "something came after the end"
            if isinstance(event, Frame):
                rgb, view = (event.rgb(), event.views[0].copy()) if pictures else (NOTHING, NOTHING)
                times = (event.index, event.pts, event.time_s)
                seen.frames.append(Seen(*times, event.keyframe, event.suspect, rgb, view))
                reader.release(event)
            elif isinstance(event, Opened):
                seen.info = event.info
            elif isinstance(event, SegmentStart):
                seen.segments.append(event)
            elif isinstance(event, StillDone):
                seen.stills.append(event)
            elif isinstance(event, Drain):
                seen.drains += 1
            elif isinstance(event, Ended):
                seen.ended = event
    assert seen.ended is not None
    return seen


def ffprobe(path: Path, *arguments: str) -> dict[str, Any]:
    """What the ffprobe command says of the first video stream."""
    address = f"file:{path}"
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json", *arguments]
    said = subprocess.run([*command, address], capture_output=True, check=True)
    return dict(json.loads(said.stdout))


def count_frames(path: Path) -> int:
    """Frames that ffprobe decodes."""
    said = ffprobe(path, "-count_frames", "-show_entries", "stream=nb_read_frames")
    return int(said["streams"][0]["nb_read_frames"])
