"""Windows of a feature map around the cells that matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Sides of a window in cells: large enough that little of it is margin.
WINDOW = 8


@dataclass(frozen=True, slots=True)
class Window:
    """A window, whose first cell is (`top`, `left`), and the block of the map's cells it is for."""

    top: int
    left: int
    rows: slice
    columns: slice

    @property
    def rows_inside(self) -> slice:
        """The block's rows, counted from the window's first."""
        return slice(self.rows.start - self.top, self.rows.stop - self.top)

    @property
    def columns_inside(self) -> slice:
        return slice(self.columns.start - self.left, self.columns.stop - self.left)


def window_sides(height: int, width: int) -> tuple[int, int]:
    """Sides in cells of every window of a map of these sides."""
    return min(WINDOW, height), min(WINDOW, width)


def windows(wanted: NDArray[np.bool_], reach: int) -> list[Window]:
    """Windows with all that the `wanted` cells, bool (h, w), depend on `reach` cells to each side.

    Each is for a block of a fixed grid, and lies inside the map: beyond the map's edge layers see
    what they see beyond that of the whole map.
    """
    block = WINDOW - 2 * reach
    height, width = window_sides(*wanted.shape)
    rows, columns = np.nonzero(wanted)
    across = -(-wanted.shape[1] // block)
    blocks = np.unique(rows // block * across + columns // block)
    return [
        Window(
            top=min(max(block * row - reach, 0), wanted.shape[0] - height),
            left=min(max(block * column - reach, 0), wanted.shape[1] - width),
            rows=slice(block * row, min(block * (row + 1), wanted.shape[0])),
            columns=slice(block * column, min(block * (column + 1), wanted.shape[1])),
        )
        for row, column in (divmod(one, across) for one in blocks.tolist())
    ]
