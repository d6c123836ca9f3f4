"""What labels say about footage: frames with boxes, whole frames to ignore, and spans of time.

Frame indices are 0-based in presentation order; times are seconds on the container's clock
(pts x time base); boxes are half-open. Labels are kept as written: classes are mapped, and names
are matched to footage, only when an evaluation joins them to a run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forensics.errors import TruthError

NONE = "none"
IGNORE = "ignore"
MAX_BYTES = 2 << 30
MAX_INDEX = 1 << 40
MAX_PIXELS = 1 << 24
MAX_FRAMES = 20_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Labelled boxes of one file, in the order of the truth.

    `frame_index` int64 (n,); `xyxy` float64 (n, 4), source pixels unless the media is
    `normalised`; `label` n class names; `ignore` bool (n,): an ignore or crowd region;
    `planted` bool (n,): the object was put into the footage by a computer; `where`: file and line
    (or entry) of each label.
    """

    frame_index: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    label: tuple[str, ...]
    ignore: NDArray[np.bool_]
    planted: NDArray[np.bool_]
    where: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open span [start_s, end_s) of one file; `label` is a class, `none` or `ignore`."""

    start_s: float
    end_s: float
    label: str
    planted: bool
    where: str


@dataclass(frozen=True, slots=True, eq=False)
class MediaTruth:
    """All that one truth says about one file of footage.

    `frames` int64 (k,), ascending: the frames that were looked at, with boxes or without;
    `ignored` bool (k,): the whole frame is to be ignored. `suffix_known` is False where the truth
    names footage without its extension. `normalised`: boxes are fractions of width and height.
    """

    name: str
    source: str
    frames: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    boxes: Boxes
    spans: tuple[Span, ...]
    suffix_known: bool = True
    normalised: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """A label that could not be taken as written: where it stands, and what was done."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Truth:
    """Labels of many files: `classes` are used by labels, `declared` also those never used.

    `planted` names footage of which a list beside the truth says that a computer put its targets
    there; labels can say so themselves too.
    """

    media: tuple[MediaTruth, ...]
    classes: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    skipped: tuple[str, ...] = ()
    planted: frozenset[str] = frozenset()


def combine(parts: Iterable[Truth], skipped: Sequence[str] = ()) -> Truth:
    """Join truths read from several files."""
    listed = list(parts)
    return Truth(
        media=tuple(media for part in listed for media in part.media),
        classes=tuple(dict.fromkeys(name for part in listed for name in part.classes)),
        declared=tuple(dict.fromkeys(name for part in listed for name in part.declared)),
        sources=tuple(dict.fromkeys(name for part in listed for name in part.sources)),
        problems=tuple(problem for part in listed for problem in part.problems),
        skipped=tuple(skipped),
        planted=frozenset(name for part in listed for name in part.planted),
    )


@dataclass(slots=True)
class MediaBuilder:
    """Collects the labels of one file while a reader goes through its entries."""

    name: str
    source: str
    suffix_known: bool = True
    normalised: bool = False
    problems: list[Problem] = field(default_factory=list)
    _ranges: list[range] = field(default_factory=list)
    _frames: dict[int, bool] = field(default_factory=dict)
    _boxes: list[tuple[int, tuple[float, ...], str, bool, bool, str]] = field(default_factory=list)
    _spans: list[Span] = field(default_factory=list)

    def add_frame(self, index: int, *, ignore: bool = False) -> None:
        """Note that frame `index` was looked at."""
        self._frames[index] = self._frames.get(index, False) or ignore

    def add_all(self, indices: range) -> None:
        """Note that all these frames were looked at; costs no time per frame until `build`."""
        self._ranges.append(indices)

    def add_box(
        self,
        index: int,
        xyxy: Sequence[float],
        label: str,
        where: str,
        *,
        ignore: bool = False,
        planted: bool = False,
        size: tuple[float, float] | None = None,
    ) -> None:
        """Add a box, or ignore its frame where the box cannot be used: both are listed.

        A box that reaches beyond the picture (`size` = width, height) is kept as written.
        """
        fault = box_fault(xyxy, size)
        if fault:
            self.problems.append(Problem(where, f"{fault}; its frame is ignored"))
            self.add_frame(index, ignore=True)
            return
        if size and reaches_beyond(xyxy, size):
            self.problems.append(Problem(where, "box reaches beyond the picture; kept as written"))
        self.add_frame(index)
        self._boxes.append((index, tuple(map(float, xyxy)), label, ignore, planted, where))

    def add_span(self, span: Span) -> None:
        self._spans.append(span)

    def build(self) -> MediaTruth:
        """Return the collected labels, frames ascending and boxes by frame in written order."""
        single = np.array(sorted(self._frames), np.int64)
        several = [np.arange(r.start, r.stop, r.step, dtype=np.int64) for r in self._ranges]
        frames = np.unique(np.concatenate([single, *several]))
        ignored = [index for index, ignore in self._frames.items() if ignore]
        boxes = sorted(self._boxes, key=lambda box: box[0])
        return MediaTruth(
            name=self.name,
            source=self.source,
            frames=frames,
            ignored=np.isin(frames, np.array(ignored, np.int64)),
            boxes=Boxes(
                frame_index=np.array([box[0] for box in boxes], np.int64),
                xyxy=np.array([box[1] for box in boxes], np.float64).reshape(-1, 4),
                label=tuple(box[2] for box in boxes),
                ignore=np.array([box[3] for box in boxes], np.bool_),
                planted=np.array([box[4] for box in boxes], np.bool_),
                where=tuple(box[5] for box in boxes),
            ),
            spans=tuple(self._spans),
            suffix_known=self.suffix_known,
            normalised=self.normalised,
        )


def box_fault(xyxy: Sequence[float], size: tuple[float, float] | None) -> str:
    """Say why a box cannot be used; empty when it can. `size` is width and height, if known."""
    x_min, y_min, x_max, y_max = xyxy
    if not all(math.isfinite(value) and abs(value) <= MAX_PIXELS for value in xyxy):
        return "box has a coordinate that is not a usable number"
    if x_max <= x_min or y_max <= y_min:
        return "box has no area (its width or height is zero or negative)"
    if size and (x_max <= 0 or y_max <= 0 or x_min >= size[0] or y_min >= size[1]):
        return "box lies wholly outside the picture"
    return ""


def reaches_beyond(xyxy: Sequence[float], size: tuple[float, float]) -> bool:
    """Whether a box leaves the picture by more than a pixel (or a hundredth, of fractions)."""
    slack = 0.01 if size == (1.0, 1.0) else 1.0
    return min(xyxy[0], xyxy[1]) < -slack or xyxy[2] > size[0] + slack or xyxy[3] > size[1] + slack


def read_text(path: Path, shown: str) -> str:
    """Read a UTF-8 text file of a sane size."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TruthError(f"{shown}: larger than {MAX_BYTES >> 30} GiB; split the truth file")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TruthError(f"{shown}: {error.strerror}; check the path of the truth") from error
    except UnicodeDecodeError as error:
        raise TruthError(f"{shown}: not UTF-8 text; save the truth file as UTF-8") from error


def clean_name(name: str) -> str:
    """A file name as truth files write it, with forward slashes and no leading `./`."""
    cleaned = name.strip().replace("\\", "/")
    while cleaned.startswith("./"):
        cleaned = cleaned[2:]
    return cleaned
