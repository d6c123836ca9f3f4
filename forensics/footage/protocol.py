"""What parent and decoding child say to each other: one JSON object a line, never a pickle.

The child is treated as if a hostile file had taken it over: every number it sends is checked
against the shared memory before use.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from typing import Any, TypeVar

from forensics.tiling import WHOLE, Tiling
from forensics.types import StreamInfo

MAX_LINE_BYTES = 1 << 20
MAX_TEXT = 1000
MAX_SIDE = 1 << 24
LARGEST = (1 << 63) - 1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StaticRule:
    """When a frame counts as static: see `footage.static`.

    `threshold` is in grey levels of 255; a frame is processed at the latest `refresh_s` after the
    last processed one. The default is below the 5 s that tie alarms to one event, so that a thing
    that alarms and lies still stays one event.
    """

    threshold: float = 4.0
    refresh_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames are processed: every `frame_step`-th, one each `time_step_s`, or keyframes.

    Of these, frames that are `static` may be passed over; they keep their rows in the log.
    """

    frame_step: int = 1
    time_step_s: float | None = None
    keyframes_only: bool = False
    static: StaticRule | None = None

    @classmethod
    def from_message(cls, values: dict[str, Any]) -> Sampling:
        static = values.pop("static")
        return cls(**values, static=None if static is None else StaticRule(**static))


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """What the child is asked to do. `paths` is one video, or the stills of one chunk in order.

    Frames of segments before `first_segment` are decoded and not sent. Without `views` nothing is
    scaled for the detector: frames come at full size alone. Without `full` the views come alone;
    tiles are cut from the full picture, and need it.
    """

    paths: tuple[str, ...]
    stills: bool
    imgsz: int
    max_pixels: int
    segment_s: float
    sampling: Sampling
    tiling: Tiling = WHOLE
    first_segment: int = 0
    wanted: tuple[int, ...] | None = None
    views: bool = True
    full: bool = True

    def __post_init__(self) -> None:
        if not self.full and self.n_views > 1:
            raise ValueError("tiles need the full picture")

    @property
    def n_views(self) -> int:
        """Views that come with each frame."""
        return self.tiling.n_views if self.views else 0

    @property
    def views_bytes(self) -> int:
        """What they take in a slot."""
        return self.tiling.bytes_per_frame(self.imgsz) if self.views else 0

    def to_line(self) -> bytes:
        return encode({**asdict(self), "type": "request"})

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> DecodeRequest:
        values = {k: v for k, v in message.items() if k != "type"}
        values["paths"] = tuple(values["paths"])
        values["sampling"] = Sampling.from_message(values["sampling"])
        values["tiling"] = Tiling(**values["tiling"])
        if values["wanted"] is not None:
            values["wanted"] = tuple(values["wanted"])
        return cls(**values)


def encode(message: dict[str, Any]) -> bytes:
    """One line. File names survive byte for byte: undecodable bytes travel as lone surrogates."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Read one line. Raises ValueError when it is no message."""
    try:
        message = json.loads(line, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ValueError("not a message")
    return message


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def integer(value: Any, low: int = -LARGEST, high: int = LARGEST) -> int:
    """Check a whole number from the child. Raises ValueError."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{str(value)[:40]!r} where a number from {low} to {high} is due")
    return value


def boolean(value: Any) -> bool:
    """Check a truth value from the child. Raises ValueError."""
    if type(value) is not bool:
        raise ValueError(f"{str(value)[:40]!r} where true or false is due")
    return value


def seconds(value: Any) -> float:
    """Check a finite number from the child. Raises ValueError."""
    if type(value) not in {int, float} or not abs(value) <= LARGEST:
        raise ValueError(f"{str(value)[:40]!r} where a number is due")
    return float(value)


def text(value: Any) -> str:
    """Text from the child, made safe to store and to print: it may quote a hostile file."""
    if type(value) is not str:
        raise ValueError("no text where text is due")
    known = value[:MAX_TEXT].encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in known)


def optional(check: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else check(value)


def count(value: Any) -> int:
    return integer(value, 0)


def info_to_message(info: StreamInfo) -> dict[str, Any]:
    values = asdict(info)
    values["time_base"] = [info.time_base.numerator, info.time_base.denominator]
    return values


def info_from_message(values: dict[str, Any]) -> StreamInfo:
    """Raises ValueError, KeyError or TypeError."""
    numerator, denominator = values["time_base"]
    return StreamInfo(
        container=text(values["container"]),
        codec=text(values["codec"]),
        width=integer(values["width"], 0, MAX_SIDE),
        height=integer(values["height"], 0, MAX_SIDE),
        pixel_format=text(values["pixel_format"]),
        rotation=integer(values["rotation"], 0, 359),
        time_base=Fraction(integer(numerator, 1, 1 << 31), integer(denominator, 1, 1 << 31)),
        frame_rate_header=optional(seconds, values["frame_rate_header"]),
        frames_header=optional(count, values["frames_header"]),
        duration_s=optional(seconds, values["duration_s"]),
        start_time_s=optional(seconds, values["start_time_s"]),
    )


FACTS: dict[str, Callable[[Any], Any]] = {
    "frames_decoded": count,
    "frames_suspect": count,
    "frames_lost": count,
    "frames_missing": partial(optional, count),
    "other_streams": partial(integer, low=0, high=1000),
    "interlaced": boolean,
    "vfr": partial(optional, boolean),
    "rotation": partial(integer, low=0, high=359),
    "last_pts": partial(optional, integer),
}


def facts_from_message(message: dict[str, Any]) -> dict[str, Any]:
    """The facts that come with the end of a file; those not given are left out."""
    return {name: check(message[name]) for name, check in FACTS.items() if name in message}
