"""Pack decoded pictures into shared memory, and convert them to RGB when somebody looks.

Common 8-bit 4:2:0 video travels as its own planes (1.5 bytes a pixel, no conversion for the many
frames that nobody looks at); everything else travels as RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from forensics.boxes import Letterbox
from forensics.types import ImageArray

PLANAR = frozenset({"yuv420p", "yuvj420p"})
PAD_GREY = 114


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How the full-resolution picture lies in its slot. `matrix` and `range` as FFmpeg numbers."""

    format: str
    width: int
    height: int
    matrix: int
    range: int

    @property
    def size_bytes(self) -> int:
        pixels = self.width * self.height
        return pixels * 3 if self.format == "rgb24" else pixels * 3 // 2


class Packer:
    """Writes one file's pictures into slots: the detector's view, then the full picture."""

    def __init__(self, imgsz: int) -> None:
        self.imgsz = imgsz
        self.view_bytes = imgsz * imgsz * 3
        self._small = VideoReformatter()
        self._full = VideoReformatter()

    def layout(self, picture: Any) -> PixelLayout:
        """Say how `picture` will lie, after rotation."""
        turned = picture.rotation % 180 != 0
        width, height = picture.width, picture.height
        planar = (
            picture.format.name in PLANAR
            and picture.rotation % 360 == 0
            and width % 2 == 0
            and height % 2 == 0
        )
        if turned:
            width, height = height, width
        name = picture.format.name if planar else "rgb24"
        matrix, colour_range = int(picture.colorspace), int(picture.color_range)
        return PixelLayout(name, width, height, matrix, colour_range)

    def pack(self, picture: Any, layout: PixelLayout, slot: memoryview) -> None:
        """Write view and full picture of a frame into `slot`."""
        view = np.frombuffer(slot, np.uint8, self.view_bytes)
        self._pack_view(picture, layout, view.reshape(self.imgsz, self.imgsz, 3))
        full = np.frombuffer(slot, np.uint8, layout.size_bytes, offset=self.view_bytes)
        if layout.format == "rgb24":
            rgb = np.asarray(self._full.reformat(picture, format="rgb24").to_ndarray(), np.uint8)
            full.reshape(layout.height, layout.width, 3)[:] = _turned(rgb, picture.rotation)
        else:
            _copy_planes(picture, full)

    def _pack_view(self, picture: Any, layout: PixelLayout, view: ImageArray) -> None:
        box = Letterbox(layout.width, layout.height, self.imgsz)
        (width, height), (left, top) = box.content, box.offset
        if picture.rotation % 180 != 0:
            width, height = height, width
        small = self._small.reformat(
            picture, width=width, height=height, format="rgb24", interpolation=Interpolation.AREA
        )
        content = _turned(np.asarray(small.to_ndarray(), np.uint8), picture.rotation)
        view[:] = PAD_GREY
        view[top : top + content.shape[0], left : left + content.shape[1]] = content


def unpack_rgb(layout: PixelLayout, full: ImageArray) -> ImageArray:
    """Convert a packed full picture, flat uint8, to uint8 RGB (height, width, 3), a copy."""
    if layout.format == "rgb24":
        return full.reshape(layout.height, layout.width, 3).copy()
    planes = full.reshape(layout.height * 3 // 2, layout.width)
    frame = av.VideoFrame.from_ndarray(planes, format=layout.format)
    frame.colorspace = layout.matrix
    frame.color_range = layout.range
    return np.asarray(frame.to_ndarray(format="rgb24"))


def _turned(picture: ImageArray, rotation: int) -> ImageArray:
    """Undo the recorder's rotation; FFmpeg counts degrees counter-clockwise."""
    return np.rot90(picture, k=round(rotation / 90) % 4)


def _copy_planes(picture: Any, full: ImageArray) -> None:
    start = 0
    for plane in picture.planes:
        size = plane.width * plane.height
        rows = np.frombuffer(plane, np.uint8, plane.line_size * plane.height)
        rows = rows.reshape(plane.height, plane.line_size)[:, : plane.width]
        full[start : start + size].reshape(plane.height, plane.width)[:] = rows
        start += size
