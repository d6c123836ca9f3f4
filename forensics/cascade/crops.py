"""Cut crops out of the full-resolution frame, exactly as the classifier was trained."""

from __future__ import annotations

import cv2
import numpy as np

from forensics.boxes import square_crop
from forensics.cascade.definition import ClassifierSpec
from forensics.types import FloatArray, Frame, ImageArray, Region


def cut_crops(rgb: ImageArray, xyxy: FloatArray, spec: ClassifierSpec) -> ImageArray:
    """uint8 RGB (h, w, 3) and boxes (n, 4) in its pixels -> uint8 (n, imgsz, imgsz, 3).

    The square around the box reaches beyond the picture where it must; the border is repeated.
    """
    squares = square_crop(xyxy, spec.padding, spec.min_side)
    return _crops([cut_square(rgb, square) for square in squares.tolist()], spec)


def crops_of(frame: Frame, xyxy: FloatArray, spec: ClassifierSpec) -> ImageArray:
    """As `cut_crops`, of a decoded frame: only what the crops show is converted, where that pays.

    In colour to the bit the same crops, since colours are converted pixel by pixel; grey ones are
    made of the video's luma, see `footage.grey`.
    """
    squares = square_crop(xyxy, spec.padding, spec.min_side).tolist()
    size = frame.width, frame.height
    part = frame.grey if spec.grey else frame.region
    wanted = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in squares)
    if part is None or (not spec.grey and wanted > size[0] * size[1] / 2):
        return cut_crops(frame.rgb(), xyxy, spec)
    return _crops([_cut_square(part, size, square) for square in squares], spec)


def _crops(patches: list[ImageArray], spec: ClassifierSpec) -> ImageArray:
    crops = np.empty((len(patches), spec.imgsz, spec.imgsz, 3), np.uint8)
    for crop, patch in zip(crops, patches, strict=True):
        _fill(crop, patch, grey=spec.grey)
    return crops


def _fill(crop: ImageArray, patch: ImageArray, *, grey: bool) -> None:
    imgsz = crop.shape[0]
    shrinks = patch.shape[0] > imgsz
    scaled = cv2.resize(
        patch, (imgsz, imgsz), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    if grey and scaled.ndim == 3:
        scaled = cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY)
    crop[:] = cv2.merge([scaled] * 3) if grey else scaled


def cut_square(rgb: ImageArray, square: list[int]) -> ImageArray:
    """Cut [x0, y0, x1, y1) in whole pixels; outside the picture its border is repeated."""

    def region(left: int, top: int, right: int, bottom: int) -> ImageArray:
        return rgb[top:bottom, left:right]

    return _cut_square(region, (rgb.shape[1], rgb.shape[0]), square)


def _cut_square(region: Region, size: tuple[int, int], square: list[int]) -> ImageArray:
    width, height = size
    x0, y0, x1, y1 = square
    inside = region(
        min(max(x0, 0), width - 1),
        min(max(y0, 0), height - 1),
        max(min(x1, width), 1),
        max(min(y1, height), 1),
    )
    top, left = max(0, -y0), max(0, -x0)
    below = (y1 - y0) - top - inside.shape[0]
    right = (x1 - x0) - left - inside.shape[1]
    if top == left == below == right == 0:
        return inside
    bordered = cv2.copyMakeBorder(
        inside, top, max(0, below), left, max(0, right), cv2.BORDER_REPLICATE
    )
    return np.asarray(bordered, np.uint8)
