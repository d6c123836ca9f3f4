"""Pack decoded pictures into shared memory, and convert them to RGB when somebody looks.

Common 8-bit 4:2:0 video travels as its own planes (1.5 bytes a pixel, no conversion for the many
frames that nobody looks at); everything else travels as RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from forensics.boxes import Letterbox
from forensics.types import ImageArray

PLANAR = frozenset({"yuv420p", "yuvj420p"})
PAD_GREY = 114
UNSPECIFIED_MATRIX = 2
UNSPECIFIED_RANGE = 0


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
        turned = quarter_turns(picture) % 2 == 1
        width, height = picture.width, picture.height
        planar = (
            picture.format.name in PLANAR
            and quarter_turns(picture) == 0
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
            rgb = _converted(self._full, picture, format="rgb24")
            full.reshape(layout.height, layout.width, 3)[:] = _turned(rgb, picture)
        else:
            _copy_planes(picture, full)

    def _pack_view(self, picture: Any, layout: PixelLayout, view: ImageArray) -> None:
        box = Letterbox(layout.width, layout.height, self.imgsz)
        (width, height), (left, top) = box.content, box.offset
        if quarter_turns(picture) % 2 == 1:
            width, height = height, width
        small = _converted(
            self._small,
            picture,
            width=width,
            height=height,
            format="rgb24",
            interpolation=Interpolation.AREA,
        )
        content = _turned(small, picture)
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
    return _converted(VideoReformatter(), frame, format="rgb24")


def _converted(converter: VideoReformatter, picture: Any, **wanted: Any) -> ImageArray:
    try:
        rgb = converter.reformat(picture, **wanted)
    except av.error.FFmpegError:
        # Its header names colours that the converter does not know, or damage made them up.
        picture.colorspace, picture.color_range = UNSPECIFIED_MATRIX, UNSPECIFIED_RANGE
        try:
            rgb = converter.reformat(picture, **wanted)
        except av.error.FFmpegError as error:
            raise ValueError(f"picture cannot be converted: {error.strerror}") from error
    return np.asarray(rgb.to_ndarray(), np.uint8)


def quarter_turns(picture: Any) -> int:
    """How often to turn a decoded picture by 90 degrees counter-clockwise, as FFmpeg counts."""
    return round(int(picture.rotation) / 90) % 4


def _turned(pixels: ImageArray, picture: Any) -> ImageArray:
    """Undo the recorder's rotation."""
    return np.rot90(pixels, k=quarter_turns(picture))


def _copy_planes(picture: Any, full: ImageArray) -> None:
    start = 0
    for plane in picture.planes:
        size = plane.width * plane.height
        rows = np.frombuffer(plane, np.uint8, plane.line_size * plane.height)
        rows = rows.reshape(plane.height, plane.line_size)[:, : plane.width]
        full[start : start + size].reshape(plane.height, plane.width)[:] = rows
        start += size
