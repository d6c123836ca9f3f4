"""A detector that computes boxes only around the cells whose score reaches the floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.backends.ov_halves import Halves
from forensics.backends.ov_requests import Requests
from forensics.backends.windows import WINDOW, Window, window_sides, windows
from forensics.types import FloatArray, ImageArray

# Windows in a run: one costs nearly as much as two.
TOGETHER = 2
# A window costs so many times what its cells do in a run of the whole map.
OVERHEAD = 3


class SparseBoxes:
    """Both halves of a network; `scores`: that of `halves`, for pictures of one shape.

    `output`: shape of a picture's result.
    """

    def __init__(self, halves: Halves, scores: Any, config: dict[str, Any]) -> None:
        self._scores = Requests(scores, config)
        (_, classes, anchors), *maps = self._scores.outputs
        self.output = (4 + classes, anchors)
        height = int(scores.input(0).get_shape()[1])
        self._branches = [
            _Branch(branch, halves.reach, shape, height / shape[2], config)
            for branch, shape in zip(halves.boxes, maps, strict=True)
        ]

    def run(self, images: ImageArray, results: FloatArray, floor: float) -> None:
        """Fill the one of `results` for the one image, uint8 (1, h, w, 3): all scores, and boxes
        where one reaches `floor`; other boxes may be 0."""
        (result,) = results
        with self._scores.run(images) as (scores, *maps):
            result[:4] = 0
            result[4:] = scores[0]
            wanted: NDArray[np.bool_] = result[4:].max(axis=0) >= np.float32(floor)
            if not wanted.any():
                return
            start = 0
            for branch, values in zip(self._branches, maps, strict=True):
                sides = values.shape[2:]
                stop = start + sides[0] * sides[1]
                cells = wanted[start:stop].reshape(sides)
                if cells.any():
                    branch.fill(result[:4, start:stop].reshape(4, *sides), values, cells)
                start = stop


class _Branch:
    """The branch of the boxes from a map of shape (1, channels, h, w), whose cells are `stride`
    pixels wide.

    All is compiled at once: in the middle of a scan, in another thread, it would take memory anew.
    """

    def __init__(
        self,
        network: Any,
        reach: int,
        shape: tuple[int, ...],
        stride: float,
        config: dict[str, Any],
    ) -> None:
        def compiled(batch: int, height: int, width: int) -> Requests:
            own = network.clone()
            own.reshape([batch, shape[1], height, width])
            return Requests(own, config)

        self._reach, self._stride = reach, stride
        self._sides = window_sides(shape[2], shape[3])
        self._parts = (TOGETHER, shape[1], *self._sides)
        self._of_map = compiled(1, shape[2], shape[3])
        self._of_windows = compiled(TOGETHER, *self._sides) if self._sides != shape[2:] else None

    def fill(self, boxes: FloatArray, values: NDArray[Any], cells: NDArray[np.bool_]) -> None:
        """Compute those of `boxes` (4, h, w) that `cells` (h, w) ask for, and some around them."""
        places = windows(cells, self._reach) if self._of_windows else []
        if self._of_windows is None or len(places) * WINDOW**2 * OVERHEAD > cells.size:
            with self._of_map.run(values) as (found,):
                boxes[:] = found.reshape(boxes.shape)
            return
        for start in range(0, len(places), TOGETHER):
            self._fill_blocks(self._of_windows, boxes, values, places[start : start + TOGETHER])

    def _fill_blocks(
        self, network: Requests, boxes: FloatArray, values: NDArray[Any], places: Sequence[Window]
    ) -> None:
        height, width = self._sides
        parts = np.zeros(self._parts, values.dtype)
        for part, place in zip(parts, places, strict=False):
            part[:] = values[0, :, place.top :, place.left :][:, :height, :width]
        with network.run(parts) as (found,):
            for place, one in zip(places, found.reshape(-1, 4, height, width), strict=False):
                block = boxes[:, place.rows, place.columns]
                block[:] = one[:, place.rows_inside, place.columns_inside]
                block[0] += np.float32(place.left * self._stride)
                block[1] += np.float32(place.top * self._stride)
