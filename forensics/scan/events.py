"""What flows from decoding to recording, in order, through the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from forensics.footage.reader import FrameReader
from forensics.types import Frame, StaticFrame


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames decoded by `reader`, to be released there; `media_ids`: one per still, or one.

    `static` are frames passed over beside them, of the same segment.
    """

    reader: FrameReader
    media_ids: tuple[str | None, ...]
    stills: bool
    held: tuple[Frame, ...]
    static: tuple[StaticFrame, ...] = ()


@dataclass(frozen=True, slots=True)
class FileHashed:
    """A file's content was hashed."""

    path: str
    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SegmentDone:
    """All frames of a segment have passed. `files` are media rows that end with it."""

    source_id: str
    segment: int
    first_media_id: str
    coverage: list[dict[str, Any]]
    footage_s: float
    files: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentDropped:
    """The decoder died within a segment; it will be decoded once more from its start."""

    source_id: str
    segment: int


@dataclass(frozen=True, slots=True)
class Drained:
    """Nothing; pushing it through the pipeline gets every frame before it released."""


@dataclass(frozen=True, slots=True)
class FileDone:
    """An input file came to its end; `row` is its media row. `final` False = retry next time."""

    row: dict[str, Any]
    final: bool
    size_bytes: int


Token = Frames | Drained | FileHashed | SegmentDone | SegmentDropped | FileDone
