"""Grey parts of pictures, made of luma, against the grey of the same parts in RGB."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.footage.grey import unpack_grey
from forensics.footage.pixels import PixelLayout, planes, unpack_region
from forensics.types import ImageArray

SIZE = (96, 64)
LAYOUTS = [
    PixelLayout(name, *SIZE, matrix, colours)
    for name in ("yuv420p", "yuvj420p", "rgb24")
    for matrix, colours in ((2, 0), (1, 1), (1, 2), (5, 2), (6, 1), (9, 1), (3, 7))
]
WITHIN = 3  # levels


def packed(layout: PixelLayout) -> ImageArray:
    """A picture whose colours all lie within RGB: grey noise, and little chroma."""
    rng = np.random.default_rng(3)
    full = rng.integers(70, 180, layout.size_bytes).astype(np.uint8)
    if layout.format != "rgb24":
        for chroma in planes(layout, full)[1:]:
            chroma[:] = rng.integers(108, 149, chroma.shape)
    return full


PICTURES = {layout: packed(layout) for layout in LAYOUTS}


@given(layout=st.sampled_from(LAYOUTS), corners=st.tuples(*[st.floats(0, 1)] * 4))
def test_any_grey_part_is_that_of_the_rgb_picture(
    layout: PixelLayout, corners: tuple[float, ...]
) -> None:
    x0, x1 = sorted(int(c * (layout.width - 1)) for c in corners[:2])
    y0, y1 = sorted(int(c * (layout.height - 1)) for c in corners[2:])
    place = x0, y0, x1 + 1, y1 + 1
    found = unpack_grey(layout, PICTURES[layout], *place)
    expected = cv2.cvtColor(unpack_region(layout, PICTURES[layout], *place), cv2.COLOR_RGB2GRAY)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= WITHIN


@pytest.mark.parametrize("matrix", [2, 1], ids=["BT.601", "BT.709"])
@pytest.mark.parametrize(("colours", "black", "white"), [(1, 16, 235), (2, 0, 255)])
def test_black_and_white_are_0_and_255(matrix: int, colours: int, black: int, white: int) -> None:
    layout = PixelLayout("yuv420p", 4, 2, matrix, colours)
    for stored, shown in ((black, 0), (white, 255), (0, 0), (255, 255)):
        full = np.full(layout.size_bytes, 128, np.uint8)
        planes(layout, full)[0][:] = stored
        assert (unpack_grey(layout, full, 0, 0, 4, 2) == shown).all()
