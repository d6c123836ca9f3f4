"""Pack decoded pictures into shared memory, and convert them to RGB when somebody looks.

Common 8-bit 4:2:0 video travels as its own planes (1.5 bytes a pixel, no conversion for the many
frames that nobody looks at); everything else travels as RGB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from forensics.tiling import WHOLE, Tiling, View
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
    """Writes one file's pictures into slots: the detector's views, then in full, as asked for."""

    def __init__(
        self, imgsz: int, tiling: Tiling = WHOLE, *, views: bool = True, full: bool = True
    ) -> None:
        self.imgsz = imgsz
        self.full = full
        self.views_bytes = tiling.bytes_per_frame(imgsz) if views else 0
        self._tiling = tiling
        # One for each view: a converter is set up anew whenever the sizes change.
        self._scalers = [Scaler() for _ in range(tiling.n_views)]
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

    def full_bytes(self, layout: PixelLayout) -> int:
        """What the full picture takes in a slot."""
        return layout.size_bytes if self.full else 0

    def pack(self, picture: Any, layout: PixelLayout, slot: memoryview) -> None:
        """Write views and full picture of a frame into `slot`."""
        full = np.frombuffer(slot, np.uint8)[self.views_bytes :][: self.full_bytes(layout)]
        if self.full:
            self._pack_full(picture, layout, full)
        if not self.views_bytes:
            return
        views = np.frombuffer(slot, np.uint8, self.views_bytes)
        views = views.reshape(-1, self.imgsz, self.imgsz, 3)
        whole, *tiles = self._tiling.views(layout.width, layout.height, self.imgsz)
        self._pack_whole(picture, whole, views[0])
        for number, tile in enumerate(tiles, start=1):
            self._pack_tile(layout, full, tile, views[number], self._scalers[number])

    def _pack_full(self, picture: Any, layout: PixelLayout, full: ImageArray) -> None:
        if layout.format == "rgb24":
            rgb = converted(self._full, picture, format="rgb24")
            full.reshape(layout.height, layout.width, 3)[:] = _turned(rgb, picture)
        else:
            _copy_planes(picture, full)

    def _pack_whole(self, picture: Any, whole: View, pixels: ImageArray) -> None:
        width, height = whole.letterbox.content
        if quarter_turns(picture) % 2 == 1:
            width, height = height, width
        small = self._scalers[0].rgb(picture, width, height)
        _letterbox(_turned(small, picture), whole, pixels)

    @staticmethod
    def _pack_tile(
        layout: PixelLayout, full: ImageArray, tile: View, pixels: ImageArray, scaler: Scaler
    ) -> None:
        """Tiles are cut from the packed picture, which is upright."""
        place = tile.left, tile.top, tile.right, tile.bottom
        picture = _as_frame(*_cut_packed(layout, full, *place))
        _letterbox(scaler.rgb(picture, *tile.letterbox.content), tile, pixels)


class Scaler:
    """Makes small RGB pictures by area averaging, of pictures of one size."""

    def __init__(self) -> None:
        self._scale, self._convert = VideoReformatter(), VideoReformatter()

    def rgb(self, picture: Any, width: int, height: int) -> ImageArray:
        """uint8 RGB (height, width, 3), valid until the next one.

        Planar video is scaled as it is and converted then. FFmpeg does both in one as well, in
        more than twice the time, and no nearer to what exact arithmetic gives.
        """
        wanted = {"width": width, "height": height, "interpolation": Interpolation.AREA}
        if picture.format.name in PLANAR:
            small = reformatted(self._scale, picture, format=picture.format.name, **wanted)
            return _rows(reformatted(self._convert, small, format="rgb24"))
        return _rows(reformatted(self._scale, picture, format="rgb24", **wanted))


def _rows(rgb: Any) -> ImageArray:
    """The pixels of an FFmpeg picture in rgb24, in place."""
    (plane,) = rgb.planes
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : rgb.width * 3].reshape(rgb.height, rgb.width, 3)


def _letterbox(content: ImageArray, view: View, pixels: ImageArray) -> None:
    left, top = view.letterbox.offset
    bottom, right = top + content.shape[0], left + content.shape[1]
    for border in (pixels[:top], pixels[bottom:], pixels[:, :left], pixels[:, right:]):
        border[:] = PAD_GREY
    pixels[top:bottom, left:right] = content


def unpack_rgb(layout: PixelLayout, full: ImageArray) -> ImageArray:
    """Convert a packed full picture, flat uint8, to uint8 RGB (height, width, 3), a copy."""
    if layout.format == "rgb24":
        return full.reshape(layout.height, layout.width, 3).copy()
    return converted(VideoReformatter(), _as_frame(layout, full), format="rgb24")


def unpack_region(
    layout: PixelLayout, full: ImageArray, left: int, top: int, right: int, bottom: int
) -> ImageArray:
    """The same pixels as that part of `unpack_rgb`, uint8 RGB (bottom - top, right - left, 3).

    Without the rest being converted: at full size the colours of a pixel come from its own luma
    and the chroma of its 2 x 2 block, so the part is taken by whole blocks.
    """
    low_x, low_y = left // 2 * 2, top // 2 * 2
    high_x = min(layout.width, -(-right // 2) * 2)
    high_y = min(layout.height, -(-bottom // 2) * 2)
    rgb = unpack_rgb(*_cut_packed(layout, full, low_x, low_y, high_x, high_y))
    return rgb[top - low_y : bottom - low_y, left - low_x : right - low_x]


def _as_frame(layout: PixelLayout, full: ImageArray) -> Any:
    """A packed picture as FFmpeg sees pictures."""
    if layout.format == "rgb24":
        pixels = full.reshape(layout.height, layout.width, 3)
        return av.VideoFrame.from_ndarray(pixels, format="rgb24")
    rows = full.reshape(layout.height * 3 // 2, layout.width)
    frame = av.VideoFrame.from_ndarray(rows, format=layout.format)
    frame.colorspace = layout.matrix
    frame.color_range = layout.range
    return frame


def _cut_packed(
    layout: PixelLayout, full: ImageArray, left: int, top: int, right: int, bottom: int
) -> tuple[PixelLayout, ImageArray]:
    """A rectangle of a packed picture, packed alike; even sides where colours are shared."""
    cut = replace(layout, width=right - left, height=bottom - top)
    if layout.format == "rgb24":
        picture = full.reshape(layout.height, layout.width, 3)
        return cut, picture[top:bottom, left:right].reshape(-1)
    parts = [
        plane[top // step : bottom // step, left // step : right // step].reshape(-1)
        for plane, step in zip(planes(layout, full), (1, 2, 2), strict=True)
    ]
    return cut, np.concatenate(parts)


def planes(layout: PixelLayout, full: ImageArray) -> list[ImageArray]:
    """Luma (height, width) of a packed planar picture, then both chromas at half its size."""
    found, start = [], 0
    for step in (1, 2, 2):
        height, width = layout.height // step, layout.width // step
        found.append(full[start : start + height * width].reshape(height, width))
        start += height * width
    return found


def converted(converter: VideoReformatter, picture: Any, **wanted: Any) -> ImageArray:
    """`picture` in another size or format, as an array. Raises ValueError where that fails."""
    return np.asarray(reformatted(converter, picture, **wanted).to_ndarray(), np.uint8)


def reformatted(converter: VideoReformatter, picture: Any, **wanted: Any) -> Any:
    """`picture` in another size or format. Raises ValueError where that fails."""
    try:
        return converter.reformat(picture, **wanted)
    except av.error.FFmpegError:
        # Its header names colours that the converter does not know, or damage made them up.
        picture.colorspace, picture.color_range = UNSPECIFIED_MATRIX, UNSPECIFIED_RANGE
        try:
            return converter.reformat(picture, **wanted)
        except av.error.FFmpegError as error:
            raise ValueError(f"picture cannot be converted: {error.strerror}") from error


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
