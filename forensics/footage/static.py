"""The static-scene gate: frames that look like the last processed one need not be processed again.

Both frames are shrunk to the mean grey of a grid of cells, each at least 16 source pixels wide, at
most 64 across. With d the difference of two grids,

    change = max over cells of |d - median(d)|        in grey levels of 255

Cell means are steady against camera noise, and the median takes out light that changes everywhere
at once, up to `LIGHT_LIMIT`. A frame is static while its change is below the threshold. It is
compared with the last *processed* frame, so that slow movement adds up until it is seen.

Never passed over: the first frame of a segment, frames of damaged footage, frames without a time,
a frame whose time has gone back or whose picture has another size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from forensics.footage.decode import Decoded
from forensics.footage.pixels import converted
from forensics.footage.protocol import StaticRule
from forensics.types import ImageArray

CELL_PX = 16
MOST_COLUMNS = 64
LIGHT_LIMIT = 10.0  # grey levels; more than that in between may hide what has changed as well


class StaticGate:
    """Decides frame by frame; without a rule, no frame is static."""

    def __init__(self, rule: StaticRule | None, time_base_s: float) -> None:
        self._rule = rule
        self._base_s = time_base_s
        self._scaler = VideoReformatter()
        self._grid: ImageArray | None = None
        self._size = (0, 0)
        self._pts = 0

    def reset(self) -> None:
        """Forget the last processed frame: the next one is processed."""
        self._grid = None

    def passes_over(self, frame: Decoded) -> bool:
        """True when `frame` is static; when not, it is the one that later ones are compared with.

        Frames must come in order, all of those that are planned.
        """
        if self._rule is None:
            return False
        size = (frame.picture.width, frame.picture.height)
        grid = _cells(self._scaler, frame.picture, *size)
        last = self._grid if size == self._size and self._is_recent(frame, self._rule) else None
        if last is not None and change(last, grid) < self._rule.threshold:
            return True
        if frame.suspect or frame.pts is None:
            self._grid = None
        else:
            self._grid, self._size, self._pts = grid, size, frame.pts
        return False

    def _is_recent(self, frame: Decoded, rule: StaticRule) -> bool:
        if frame.suspect or frame.pts is None:
            return False
        # The small allowance keeps a frame that lies a rounding error before its due time.
        return 0 <= (frame.pts - self._pts) * self._base_s < rule.refresh_s - 1e-6


def change(before: ImageArray, after: ImageArray) -> float:
    """How much two grids of cells, uint8 (rows, columns), differ: see the formula above.

    Infinite where the light as a whole changed by more than `LIGHT_LIMIT`.
    """
    difference = after.astype(np.float32) - before
    light = float(np.median(difference))
    if abs(light) > LIGHT_LIMIT:
        return float("inf")
    return float(np.abs(difference - light).max())


def _cells(scaler: Any, picture: Any, width: int, height: int) -> ImageArray:
    columns = max(1, min(MOST_COLUMNS, width // CELL_PX))
    rows = max(1, round(columns * height / width))
    return converted(
        scaler,
        picture,
        width=columns,
        height=rows,
        format="gray",
        interpolation=Interpolation.AREA,
    )
