"""Parts of a packed picture in grey, straight from its luma instead of by way of RGB."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from forensics.footage.pixels import PixelLayout, planes, unpack_region
from forensics.types import FloatArray, ImageArray

FULL_RANGE = 2
# Kr, Kb of FFmpeg's matrices: BT.709; unspecified, which is taken for BT.601; BT.601 twice.
LUMA_SHARES = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 5: (0.299, 0.114), 6: (0.299, 0.114)}
RED, GREEN, BLUE = 0.299, 0.587, 0.114  # ITU-R BT.601: what grey means here, and in OpenCV


def unpack_grey(
    layout: PixelLayout, full: ImageArray, left: int, top: int, right: int, bottom: int
) -> ImageArray:
    """A part of a packed picture, uint8 (bottom - top, right - left): .299 R + .587 G + .114 B.

    Of BT.601 video that is its luma, stretched to 0 .. 255; of BT.709 there is some chroma to it.
    Within 3 levels of the grey of `unpack_region`, which rounds twice, wherever the video's
    colours lie within RGB.
    """
    if layout.format == "rgb24" or layout.matrix not in LUMA_SHARES:
        rgb = unpack_region(layout, full, left, top, right, bottom)
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    luma, *chroma = planes(layout, full)
    part = luma[top:bottom, left:right]
    weights = grey_weights(layout.matrix, layout.range == FULL_RANGE or layout.format == "yuvj420p")
    if not weights[0, 1:3].any():
        return np.asarray(cv2.LUT(part, _stretched(*weights[0, [0, 3]].tolist())), np.uint8)
    shared = [_enlarged(plane, left, top, right, bottom) for plane in chroma]
    return np.asarray(cv2.transform(cv2.merge([part, *shared]), weights), np.uint8)


def _enlarged(plane: ImageArray, left: int, top: int, right: int, bottom: int) -> ImageArray:
    """The part of a chroma plane that belongs to that part of the picture, at its size."""
    blocks = plane[top // 2 : -(-bottom // 2), left // 2 : -(-right // 2)]
    pixels = blocks.repeat(2, axis=0).repeat(2, axis=1)
    return pixels[top % 2 :, left % 2 :][: bottom - top, : right - left]


@lru_cache
def grey_weights(matrix: int, full_range: bool) -> FloatArray:
    """float32 (1, 4): grey = w0 Y + w1 Cb + w2 Cr + w3, all as stored.

    R = Y + 2 (1 - Kr) Cr, B = Y + 2 (1 - Kb) Cb, G = (Y - Kr R - Kb B) / (1 - Kr - Kb).
    """
    kr, kb = LUMA_SHARES[matrix]
    share = GREEN / (1 - kr - kb)
    blue, red = 2 * (1 - kb) * (BLUE - share * kb), 2 * (1 - kr) * (RED - share * kr)
    stretch, black = (1.0, 0.0) if full_range else (255 / 219, 16.0)
    wide = 1.0 if full_range else 255 / 224
    parts = np.array([stretch, blue * wide, red * wide])
    parts[np.abs(parts) < 1e-6] = 0
    offset = -black * stretch - 128 * (parts[1] + parts[2])
    return np.asarray([[*parts, offset]], np.float32)


@lru_cache
def _stretched(factor: float, offset: float) -> ImageArray:
    """uint8 (256,): what becomes of each stored luma."""
    levels = np.rint(np.arange(256) * factor + offset)
    return np.asarray(np.clip(levels, 0, 255), np.uint8)
