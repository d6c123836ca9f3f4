"""Array geometry of boxes: `xyxy` = (x_min, y_min, x_max, y_max), half-open, any pixel frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
STRIDE = 32  # pixels of the input to a cell of the detector's coarsest grid
NMS_ROWS = 32  # boxes compared with all others at a time
AnyFloat = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a `width` x `height` picture is scaled and centred on an `imgsz` square.

    The same rounding as the reference training code: content size round(side * gain), odd
    padding goes right and below.
    """

    width: int
    height: int
    imgsz: int

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.imgsz) < 1:
            raise ValueError(f"picture {self.width} x {self.height} at {self.imgsz} has no area")

    @property
    def gain(self) -> float:
        return min(self.imgsz / self.width, self.imgsz / self.height)

    @property
    def content(self) -> tuple[int, int]:
        """Width and height of the scaled picture, at least 1 pixel each."""
        return max(1, round(self.width * self.gain)), max(1, round(self.height * self.gain))

    @property
    def offset(self) -> tuple[int, int]:
        """Left and top padding, in input pixels."""
        content_width, content_height = self.content
        left = round((self.imgsz - content_width) / 2 - 0.1)
        top = round((self.imgsz - content_height) / 2 - 0.1)
        return max(0, left), max(0, top)

    @property
    def band(self) -> tuple[int, int, int, int]:
        """The part of the input with the picture in it: left, top, right, bottom, half-open.

        As much padding is left off on both sides as fits of 0, a tenth and a fifth of `imgsz`, in
        whole cells of the grid: five shapes in all, so that few networks need to be compiled.
        """
        left, top = (self._spare(n) for n in (0, 1))
        return left, top, self.imgsz - left, self.imgsz - top

    def _spare(self, axis: int) -> int:
        before = self.offset[axis]
        least = min(before, self.imgsz - before - self.content[axis])
        steps = (self.imgsz // share // STRIDE * STRIDE for share in (5, 10))
        return next((step for step in steps if step <= least), 0)

    def to_source(self, xyxy: AnyFloat) -> NDArray[np.float32]:
        """Map (n, 4) input pixels to source pixels, clipped to the picture; float32 (n, 4)."""
        moved = (np.asarray(xyxy, np.float64) - np.tile(self.offset, 2)) / self._gains()
        return np.asarray(clip(moved, self.width, self.height), np.float32)

    def to_input(self, xyxy: AnyFloat) -> NDArray[np.float32]:
        """Map (n, 4) source pixels to input pixels; float32 (n, 4)."""
        moved = np.asarray(xyxy, np.float64) * self._gains() + np.tile(self.offset, 2)
        return np.asarray(moved, np.float32)

    def _gains(self) -> Float64Array:
        # The content is rounded to whole pixels, so the true gain differs a little per axis.
        content_width, content_height = self.content
        return np.tile([content_width / self.width, content_height / self.height], 2)


def clip(xyxy: AnyFloat, width: float, height: float) -> Float64Array:
    """Clip (n, 4) boxes to [0, width] x [0, height]."""
    return np.clip(np.asarray(xyxy, np.float64), 0, np.array([width, height, width, height]))


def area(xyxy: AnyFloat) -> Float64Array:
    """Areas (n,) of (n, 4) boxes; inverted boxes have area 0."""
    sides = np.maximum(np.asarray(xyxy[:, 2:], np.float64) - xyxy[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def _intersection(a: AnyFloat, b: AnyFloat) -> Float64Array:
    low = np.maximum(np.asarray(a, np.float64)[:, None, :2], b[None, :, :2])
    high = np.minimum(np.asarray(a, np.float64)[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def iou_matrix(a: AnyFloat, b: AnyFloat) -> Float64Array:
    """Intersection over union of every box of `a` (n, 4) with every box of `b` (m, 4): (n, m)."""
    intersection = _intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def intersection_over_first(a: AnyFloat, b: AnyFloat) -> Float64Array:
    """Intersection over the area of the box of `a` (n, m): COCO's rule for ignore regions."""
    intersection = _intersection(a, b)
    first = np.broadcast_to(area(a)[:, None], intersection.shape)
    return np.divide(intersection, first, out=np.zeros_like(intersection), where=first > 0)


def nms(
    xyxy: AnyFloat, score: AnyFloat, class_id: NDArray[Any], *, iou: float, limit: int
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression within each class.

    Takes (n, 4) boxes, (n,) scores and class ids; returns the indices kept, by descending score
    (ties: lower index first), at most `limit`. A box goes when its IoU with a kept, better box of
    its class is above `iou`.
    """
    order = np.argsort(-np.asarray(score, np.float64), kind="stable")
    boxes = np.asarray(xyxy, np.float64)
    kept: list[int] = []
    while len(order) and len(kept) < limit:
        # The best ones at once: one comparison of many is cheaper than many of one.
        head = order[:NMS_ROWS]
        overlaps = iou_matrix(boxes[head], boxes[order]) > iou
        overlaps &= class_id[head][:, None] == class_id[order]
        free = np.ones(len(order), np.bool_)
        for row, best in enumerate(head.tolist()):
            if free[row]:
                kept.append(best)
                free &= ~overlaps[row]
        order = order[NMS_ROWS:][free[NMS_ROWS:]]
    return np.asarray(kept[:limit], np.intp)


def square_crop(xyxy: AnyFloat, padding: float, min_side: int) -> NDArray[np.int64]:
    """Squares around boxes, in whole source pixels; they may reach beyond the picture.

    (n, 4) boxes -> int64 (n, 4). The side is ceil(padding x longer side), at least `min_side`,
    centred on the box.
    """
    boxes = np.asarray(xyxy, np.float64)
    longer = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    side = np.maximum(np.ceil(longer * padding), min_side)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    low = np.round(centre - side[:, None] / 2)
    return np.concatenate([low, low + side[:, None]], axis=1).astype(np.int64)
