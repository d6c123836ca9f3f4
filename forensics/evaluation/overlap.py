"""Two truths of the same frames: jobs of one annotation overlap, and files are given twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from forensics.evaluation.log import Ints
from forensics.truth.base import Boxes, MediaTruth


def agree(one: MediaTruth, other: MediaTruth, frames: Ints) -> bool:
    """Whether both say the same of `frames`, which both have."""
    return bool(
        one.normalised == other.normalised
        and np.array_equal(
            one.ignored[np.isin(one.frames, frames)], other.ignored[np.isin(other.frames, frames)]
        )
        and _written(one.boxes, frames) == _written(other.boxes, frames)
    )


def without(media: MediaTruth, frames: Ints) -> MediaTruth:
    """The same truth, less what it says of `frames`."""
    kept, boxes = ~np.isin(media.frames, frames), media.boxes
    rows = np.flatnonzero(~np.isin(boxes.frame_index, frames))
    return replace(
        media,
        frames=media.frames[kept],
        ignored=media.ignored[kept],
        boxes=Boxes(
            frame_index=boxes.frame_index[rows],
            xyxy=boxes.xyxy[rows],
            label=tuple(boxes.label[row] for row in rows),
            ignore=boxes.ignore[rows],
            planted=boxes.planted[rows],
            where=tuple(boxes.where[row] for row in rows),
        ),
    )


def _written(boxes: Boxes, frames: Ints) -> list[tuple[Any, ...]]:
    """The boxes of `frames` in an order of their own."""
    return sorted(
        (
            int(boxes.frame_index[row]),
            *boxes.xyxy[row].tolist(),
            boxes.label[row],
            bool(boxes.ignore[row]),
        )
        for row in np.flatnonzero(np.isin(boxes.frame_index, frames))
    )
