"""A part of a picture, converted alone, has the pixels that it has in the whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.cascade.crops import crops_of, cut_crops
from forensics.cascade.definition import load_cascade
from forensics.footage.pixels import PixelLayout, unpack_region, unpack_rgb
from forensics.footage.reader import FrameReader
from forensics.types import Frame
from tests.support.clips import set_display_matrix, write_clip, write_still
from tests.support.decoding import request_for

GREY_WITHIN = 3  # levels: made of luma on one way, of rounded RGB on the other
SIZES = ((362, 242), (128, 130), (2, 2), (48, 1082))
LAYOUTS = [
    PixelLayout(name, *size, matrix, colours)
    for name in ("yuv420p", "yuvj420p", "rgb24")
    for size in SIZES
    for matrix, colours in ((2, 0), (1, 1), (5, 2), (9, 1), (3, 7))  # 3: no converter knows it
]
PICTURES = {
    layout: np.random.default_rng(1).integers(0, 256, layout.size_bytes).astype(np.uint8)
    for layout in LAYOUTS
}


@given(
    layout=st.sampled_from(LAYOUTS),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_any_region_equals_its_part_of_the_whole(
    layout: PixelLayout, corners: tuple[float, ...]
) -> None:
    full = PICTURES[layout]
    x0, x1 = sorted(int(c * (layout.width - 1)) for c in corners[:2])
    y0, y1 = sorted(int(c * (layout.height - 1)) for c in corners[2:])
    part = unpack_region(layout, full, x0, y0, x1 + 1, y1 + 1)
    whole = unpack_rgb(layout, full)
    np.testing.assert_array_equal(part, whole[y0 : y1 + 1, x0 : x1 + 1])


@pytest.mark.parametrize("name", ["upright", "turned", "odd", "jpeg", "full range"])
def test_crops_from_regions_are_the_crops_of_the_whole_picture(tmp_path: Path, name: str) -> None:
    clip = tmp_path / "c.mp4"
    match name:
        case "upright":
            path = write_clip(clip, frames=1, size=(640, 358))
        case "turned":
            path = write_clip(clip, frames=1, size=(640, 360))
            path = set_display_matrix(path, (0, 1, -1, 0))
        case "odd":
            path = write_still(tmp_path / "odd.png", 5, size=(361, 241))
        case "jpeg":
            path = write_still(tmp_path / "a.jpg", 5, size=(360, 240))
        case _:
            path = write_clip(tmp_path / "c.mkv", frames=1, codec="mjpeg", size=(320, 240))
    spec = load_cascade("handgun").classifier
    assert spec is not None
    colour, grey = replace(spec, grey=False), replace(spec, grey=True)
    boxes = np.array(
        [[-5, -9, 20, 30], [100.4, 50.6, 131, 90.2], [200, 200, 900, 900], [3, 3, 4, 4]], np.float32
    )
    wanted = request_for(path, stills=path.suffix in {".png", ".jpg"})
    with FrameReader(wanted, slots=3) as reader:
        for event in reader.events():
            if isinstance(event, Frame):
                for n in range(len(boxes) + 1):
                    few, rgb = boxes[:n], event.rgb()
                    np.testing.assert_array_equal(
                        crops_of(event, few, colour), cut_crops(rgb, few, colour)
                    )
                    found, expected = crops_of(event, few, grey), cut_crops(rgb, few, grey)
                    assert np.abs(found.astype(int) - expected).max(initial=0) <= GREY_WITHIN
                return
    raise AssertionError("no frame came")
