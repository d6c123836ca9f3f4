"""The views that the decoding child makes of tiled frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from forensics.footage.reader import FrameReader
from forensics.tiling import WHOLE, Tiling
from forensics.types import Frame, ImageArray
from tests.support.clips import set_display_matrix, write_clip, write_still
from tests.support.decoding import decode, request_for

TILING = Tiling(3, 2, 0.2)
IMGSZ = 96


def views_of(path: Path, tiling: Tiling, **changes: object) -> tuple[ImageArray, ImageArray]:
    """Views and RGB of the first frame."""
    request = request_for(path, imgsz=IMGSZ, tiling=tiling, **changes)
    with FrameReader(request, slots=3, silence_s=20) as reader:
        for event in reader.events():
            if isinstance(event, Frame):
                return event.views.copy(), event.rgb()
    raise AssertionError("no frame came")


def one_picture(folder: Path, suffix: str) -> Path:
    path = folder / f"c{suffix}"
    if suffix == ".mp4":
        write_clip(path, frames=1)
    else:
        write_still(path, 1)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".jpg", ".png"])
def test_frames_may_come_without_views(tmp_path: Path, suffix: str) -> None:
    """The same pictures, and nothing beside them in the shared memory."""
    path = one_picture(tmp_path, suffix)
    found, sizes = [], []
    for views in (True, False):
        request = request_for(path, imgsz=IMGSZ, stills=suffix != ".mp4", views=views)
        with FrameReader(request, slots=3, silence_s=20) as reader:
            frame = next(event for event in reader.events() if isinstance(event, Frame))
            assert frame.packed is not None
            assert frame.views.shape == (int(views), IMGSZ, IMGSZ, 3)
            found.append((frame.rgb(), frame.packed.data.copy(), frame.packed.format))
            sizes.append(reader._slot_bytes)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    wanted = {".mp4": "yuv420p", ".jpg": "yuvj420p", ".png": "rgb24"}[suffix]
    assert found[0][2] == found[1][2] == wanted
    assert sizes[1] == len(found[1][1]) == sizes[0] - IMGSZ * IMGSZ * 3


@pytest.mark.parametrize("suffix", [".mp4", ".jpg", ".png"])
def test_frames_may_come_as_views_alone(tmp_path: Path, suffix: str) -> None:
    path = one_picture(tmp_path, suffix)
    stills = suffix != ".mp4"
    whole, _ = views_of(path, WHOLE, stills=stills)
    request = request_for(path, imgsz=IMGSZ, stills=stills, full=False)
    with FrameReader(request, slots=3, silence_s=20) as reader:
        frame = next(event for event in reader.events() if isinstance(event, Frame))
        np.testing.assert_array_equal(frame.views, whole)
        assert frame.packed is None and frame.region is None and frame.grey is None
        with pytest.raises(ValueError, match="without its full picture"):
            frame.rgb()
        assert reader._slot_bytes == IMGSZ * IMGSZ * 3
    with pytest.raises(ValueError, match="tiles need"):
        request_for(path, imgsz=IMGSZ, stills=stills, tiling=TILING, full=False)


def turned(path: Path, matrix: tuple[int, ...]) -> Path:
    return set_display_matrix(path, matrix)


@pytest.mark.parametrize(
    "name", ["upright", "quarter", "half", "odd", "jpeg", "small", "full range"]
)
def test_each_view_shows_its_rectangle_of_the_upright_picture(tmp_path: Path, name: str) -> None:
    clip = tmp_path / "c.mp4"
    match name:
        case "upright":
            path = write_clip(clip, frames=2, size=(640, 358))
        case "quarter":
            path = turned(write_clip(clip, frames=2, size=(640, 360)), (0, 1, -1, 0))
        case "half":
            path = turned(write_clip(clip, frames=2, size=(640, 360)), (-1, 0, 0, -1))
        case "odd":
            path = write_still(tmp_path / "odd.png", 5, size=(361, 241))
        case "jpeg":
            path = write_still(tmp_path / "a.jpg", 5, size=(360, 240))
        case "small":
            path = write_clip(clip, frames=2, size=(128, 80))
        case _:
            path = write_clip(tmp_path / "c.mkv", frames=2, codec="mjpeg", size=(320, 240))
    views, rgb = views_of(path, TILING, stills=path.suffix in {".png", ".jpg"})
    height, width = rgb.shape[:2]
    plan = TILING.views(width, height, IMGSZ)
    assert len(views) == len(plan) == 7
    for pixels, view in zip(views, plan, strict=True):
        part = rgb[view.top : view.bottom, view.left : view.right]
        shrinks = view.letterbox.gain < 1
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        wanted = np.full((IMGSZ, IMGSZ, 3), 114, np.uint8)
        (inner_width, inner_height), (left, top) = view.letterbox.content, view.letterbox.offset
        wanted[top : top + inner_height, left : left + inner_width] = cv2.resize(
            part, (inner_width, inner_height), interpolation=how
        )
        assert np.abs(pixels.astype(int) - wanted).mean() < 4, view


def test_tiles_do_not_change_the_view_of_the_whole(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mp4", frames=2, size=(640, 360))
    plain, rgb = views_of(path, WHOLE)
    tiled, same = views_of(path, TILING)
    assert np.array_equal(tiled[0], plain[0])
    assert np.array_equal(rgb, same)


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (320, 2), (2, 240), (1000, 20)])
def test_tiles_of_odd_shapes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_clip(tmp_path / "odd.avi", frames=2, size=size, codec="mpeg4")
    views, _ = views_of(path, Tiling(8, 8, 0.5))
    assert len(views) == 65


def test_slots_grow_for_many_views_and_decoding_goes_on(tmp_path: Path) -> None:
    """64 tiles at 640 pixels: the ring holds the fewest slots that it may."""
    path = write_clip(tmp_path / "c.mp4", frames=4, size=(320, 240))
    seen = decode(path, imgsz=640, tiling=Tiling(8, 8, 0.2), slots=17)
    assert seen.numbers == [0, 1, 2, 3]
