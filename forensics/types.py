"""Frozen records that cross from layer to layer. Arrays inside are treated as read-only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
ImageArray = NDArray[np.uint8]
Region = Callable[[int, int, int, int], ImageArray]  # left, top, right, bottom: half-open


class Status(StrEnum):
    """How one input file ended. Every input ends in exactly one of these."""

    OK = "ok"
    PARTIAL = "partial"
    UNREADABLE = "unreadable"
    REFUSED = "refused"
    CRASHED = "crashed"
    TIMEOUT = "timeout"


class CoverageState(StrEnum):
    """What happened to a span of footage."""

    SCANNED = "scanned"
    SAMPLED_OUT = "sampled_out"
    STATIC = "static"
    UNDECODABLE = "undecodable"
    NOT_REACHED = "not_reached"


class DecidedBy(StrEnum):
    """Which stage had the last word on a detection during the scan."""

    DETECTOR = "detector"  # the cascade has no classifier, or it was switched off
    CLASSIFIER = "classifier"  # the crop was classified
    GATE = "gate"  # detector score below the gate: the classifier was not asked
    ERROR = "error"  # the crop or its classification failed


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that the user offered: `path` absolute, `relative` as logged (forward slashes).

    `moving`: it is named like a picture, and its content is a video's.
    """

    path: Path
    relative: str
    camera_id: str
    size_bytes: int
    mtime_ns: int
    refused: str = ""
    moving: bool = False

    @property
    def is_still(self) -> bool:
        return self.path.suffix.lower() in STILL_SUFFIXES and not self.moving


STILL_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
# What FFmpeg reads as video and people keep as video. A name outside this list is offered only
# when the user names the file itself, so that a folder's text files do not count as footage.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"}
    | {".vob", ".flv", ".wmv", ".asf", ".3gp", ".3g2", ".mxf", ".ogv", ".h264", ".264", ".avc"}
    | {".h265", ".265", ".hevc", ".mjpeg", ".mjpg", ".dav", ".dv", ".y4m", ".ivf", ".nut"}
)
FOOTAGE_SUFFIXES = VIDEO_SUFFIXES | STILL_SUFFIXES


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What the container's header claims about the video stream; claims are named `_header`."""

    container: str
    codec: str
    width: int
    height: int
    pixel_format: str
    rotation: int
    time_base: Fraction
    frame_rate_header: float | None
    frames_header: int | None
    duration_s: float | None
    start_time_s: float | None


@dataclass(frozen=True, slots=True)
class Packed:
    """The full-resolution picture as it travels: `data` uint8 (bytes,).

    `format` yuv420p or yuvj420p: luma, blue, red, each plane without gaps; rgb24: pixel by pixel.
    `matrix` and `range` are FFmpeg's numbers.
    """

    format: str
    matrix: int
    range: int
    data: ImageArray


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame.

    `views` are the detector's pictures: uint8 RGB (views, imgsz, imgsz, 3), letterboxed, the whole
    frame first; none where the request said so. `rgb()` converts the full-resolution picture on
    demand to uint8 RGB (height, width, 3); `region(left, top, right, bottom)`, where there is one,
    converts that part of it alone, to the same pixels, and `grey` of the same four to grey, uint8
    (height, width); `packed` is that picture unconverted. Where the request left the full picture
    out, `rgb()` raises ValueError and the others are None. All are valid only until the decoder is
    asked to release the frame.
    """

    index: int
    pts: int | None
    time_s: float | None
    keyframe: bool
    suspect: bool
    width: int
    height: int
    views: ImageArray
    rgb: Callable[[], ImageArray] = field(repr=False, compare=False)
    region: Region | None = field(default=None, repr=False, compare=False)
    grey: Region | None = field(default=None, repr=False, compare=False)
    packed: Packed | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class StaticFrame:
    """A planned frame that was not processed, because it looks like the last processed one."""

    index: int
    pts: int | None
    time_s: float | None
    keyframe: bool


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes of one frame by descending score.

    `xyxy` float32 (n, 4), source pixels, half-open; `score` float32 (n,); `class_id` int32 (n,).
    """

    xyxy: FloatArray
    score: FloatArray
    class_id: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The pair of thresholds that decides what is an alarm; `classifier` None = detector only."""

    detector: float
    classifier: float | None
