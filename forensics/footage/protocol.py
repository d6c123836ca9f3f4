"""What parent and decoding child say to each other: one JSON object a line, never a pickle.

The child is treated as if a hostile file had taken it over: every number it sends is checked
against the shared memory before use.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from forensics.types import StreamInfo

MAX_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames are processed: every `frame_step`-th, or one each `time_step_s`."""

    frame_step: int = 1
    time_step_s: float | None = None


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """What the child is asked to do. `paths` is one video, or the stills of one chunk in order.

    Frames of segments before `first_segment` are decoded and not sent.
    """

    paths: tuple[str, ...]
    stills: bool
    imgsz: int
    max_pixels: int
    segment_s: float
    sampling: Sampling
    first_segment: int = 0
    wanted: tuple[int, ...] | None = None

    def to_line(self) -> bytes:
        return encode({**asdict(self), "type": "request"})

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> DecodeRequest:
        values = {k: v for k, v in message.items() if k != "type"}
        values["paths"] = tuple(values["paths"])
        values["sampling"] = Sampling(**values["sampling"])
        if values["wanted"] is not None:
            values["wanted"] = tuple(values["wanted"])
        return cls(**values)


def encode(message: dict[str, Any]) -> bytes:
    """One line. File names survive byte for byte: undecodable bytes travel as lone surrogates."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Read one line. Raises ValueError when it is no message."""
    message = json.loads(line)
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ValueError("not a message")
    return message


def info_to_message(info: StreamInfo) -> dict[str, Any]:
    values = asdict(info)
    values["time_base"] = [info.time_base.numerator, info.time_base.denominator]
    return values


def info_from_message(values: dict[str, Any]) -> StreamInfo:
    numerator, denominator = values["time_base"]
    return StreamInfo(**{**values, "time_base": Fraction(numerator, denominator)})
