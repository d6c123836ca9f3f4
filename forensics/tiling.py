"""What of a frame the detector sees: the whole, and overlapping tiles, all at its input size.

A tile speaks only for what it sees whole. What it sees cut off is left to the neighbour that the
overlap gives, or to the view of the whole frame; so a gun on a border is not counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.boxes import AnyFloat, Letterbox, intersection_over_first, iou_matrix

MAX_OVERLAP = 0.5
# A box that ends this near to where its tile was cut, in input pixels, is taken as cut off:
# half a cell of the detector's finest grid.
CUT_PX = 4.0
# Share of a box within a better one from which it may be a piece of that one.
CONTAINED = 0.8


@dataclass(frozen=True, slots=True)
class View:
    """A rectangle of a frame of `frame_width` x `frame_height`, and how it is letterboxed.

    The rectangle begins at (`left`, `top`) and has the letterbox's width and height.
    """

    left: int
    top: int
    letterbox: Letterbox
    frame_width: int
    frame_height: int

    @property
    def right(self) -> int:
        return self.left + self.letterbox.width

    @property
    def bottom(self) -> int:
        return self.top + self.letterbox.height

    def to_source(self, xyxy: AnyFloat) -> NDArray[np.float32]:
        """Map (n, 4) input pixels to the frame's pixels, clipped to the view; float32 (n, 4)."""
        moved = self.letterbox.to_source(xyxy) + np.tile([self.left, self.top], 2)
        return np.asarray(moved, np.float32)

    def cuts(self, xyxy: AnyFloat) -> NDArray[np.bool_]:
        """Which of (n, 4) boxes in the frame's pixels reach a border where the frame goes on."""
        return self._beyond(xyxy, CUT_PX / self.letterbox.gain)

    def holds(self, xyxy: AnyFloat) -> NDArray[np.bool_]:
        """Which of (n, 4) boxes in the frame's pixels lie wholly in the view."""
        return ~self._beyond(xyxy, -1e-3)

    def _beyond(self, xyxy: AnyFloat, margin: float) -> NDArray[np.bool_]:
        low = [side + margin if side else -np.inf for side in (self.left, self.top)]
        high = [
            side - margin if side < end else np.inf
            for side, end in ((self.right, self.frame_width), (self.bottom, self.frame_height))
        ]
        boxes = np.asarray(xyxy, np.float64)
        out = (boxes[:, :2] <= low).any(axis=1) | (boxes[:, 2:] >= high).any(axis=1)
        return np.asarray(out, np.bool_)


@dataclass(frozen=True, slots=True)
class Tiling:
    """Which views a frame is looked at in: the whole first, then `columns` x `rows` tiles.

    `overlap`: share of a tile's side that the next tile sees as well. One column and one row is
    the whole frame alone.
    """

    columns: int = 1
    rows: int = 1
    overlap: float = 0.0

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < 1:
            raise ValueError(f"{self.columns} x {self.rows} tiles cover nothing")
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise ValueError(f"tile overlap {self.overlap} is not between 0 and {MAX_OVERLAP}")

    @property
    def n_views(self) -> int:
        """Views of each frame, whatever its size."""
        tiles = self.columns * self.rows
        return 1 if tiles == 1 else 1 + tiles

    def bytes_per_frame(self, imgsz: int) -> int:
        """What the views of a frame take, uint8 RGB."""
        return self.n_views * imgsz * imgsz * 3

    def views(self, width: int, height: int, imgsz: int) -> tuple[View, ...]:
        """The views of an upright `width` x `height` frame; tiles row by row, left to right."""
        return _views(self, width, height, imgsz)


WHOLE = Tiling()


@lru_cache(maxsize=64)
def _views(tiling: Tiling, width: int, height: int, imgsz: int) -> tuple[View, ...]:
    whole = View(0, 0, Letterbox(width, height, imgsz), width, height)
    if tiling.n_views == 1:
        return (whole,)
    tiles = [
        View(left, top, Letterbox(right - left, bottom - top, imgsz), width, height)
        for top, bottom in spans(height, tiling.rows, tiling.overlap)
        for left, right in spans(width, tiling.columns, tiling.overlap)
    ]
    return (whole, *tiles)


def spans(length: int, n: int, overlap: float) -> list[tuple[int, int]]:
    """Cut `length` pixels into `n` equal spans that share `overlap` of their length.

    With s = length / (n - (n - 1) overlap), span k is [k (1 - overlap) s, k (1 - overlap) s + s),
    rounded outward to even pixels: the colours of common video are stored for 2 x 2 pixels.
    """
    side = length / (n - (n - 1) * overlap)
    starts = [k * (1 - overlap) * side for k in range(n)]
    return [
        (2 * int(start / 2), min(length, 2 * int(np.ceil((start + side) / 2)))) for start in starts
    ]


def merge(
    xyxy: AnyFloat,
    score: AnyFloat,
    class_id: NDArray[Any],
    view: NDArray[Any],
    views: Sequence[View],
    *,
    iou: float,
    limit: int,
) -> NDArray[np.intp]:
    """Which boxes stay when several views of a frame saw the same things.

    Takes (n, 4) boxes in the frame's pixels, their (n,) scores, class ids and indices into
    `views`; within a view they are free of duplicates already. Returns the indices kept, by
    descending score (ties: lower index first), at most `limit`. A box goes when

    - its view cuts it off, or
    - a kept, better box of its class from another view has an IoU with it above `iou`, or
    - at least `CONTAINED` of it lies within a kept, better box of its class that its own view
      could not see whole: it may be a piece of that one.

    No box depends on one that scores lower, so what is kept from some score on does not depend
    on how far down boxes are given: thresholds may be raised afterwards.
    """
    boxes = np.asarray(xyxy, np.float64)
    cut = np.zeros(len(boxes), bool)
    whole = np.zeros((len(views), len(boxes)), bool)
    for number, one in enumerate(views):
        whole[number] = one.holds(boxes)
        cut |= (view == number) & one.cuts(boxes)
    order = np.argsort(-np.asarray(score, np.float64), kind="stable")
    order = order[~cut[order]]
    kept: list[int] = []
    while len(order) and len(kept) < limit:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        inside = intersection_over_first(boxes[rest], boxes[best][None])[:, 0]
        piece = (inside >= CONTAINED) & ~whole[view[rest], best]
        same = iou_matrix(boxes[best][None], boxes[rest])[0] > iou
        rivals = (class_id[rest] == class_id[best]) & (view[rest] != view[best])
        order = rest[~((same | piece) & rivals)]
    return np.asarray(kept, np.intp)
