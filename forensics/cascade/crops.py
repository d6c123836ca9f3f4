"""Cut crops out of the full-resolution frame, exactly as the classifier was trained."""

from __future__ import annotations

import cv2
import numpy as np

from forensics.boxes import square_crop
from forensics.cascade.definition import ClassifierSpec
from forensics.types import FloatArray, ImageArray


def cut_crops(rgb: ImageArray, xyxy: FloatArray, spec: ClassifierSpec) -> ImageArray:
    """uint8 RGB (h, w, 3) and boxes (n, 4) in its pixels -> uint8 (n, imgsz, imgsz, 3).

    The square around the box reaches beyond the picture where it must; the border is repeated.
    """
    crops = np.empty((len(xyxy), spec.imgsz, spec.imgsz, 3), np.uint8)
    for crop, square in zip(crops, square_crop(xyxy, spec.padding, spec.min_side), strict=True):
        _fill(crop, rgb, square.tolist(), grey=spec.grey)
    return crops


def _fill(crop: ImageArray, rgb: ImageArray, square: list[int], *, grey: bool) -> None:
    patch = cut_square(rgb, square)
    imgsz = crop.shape[0]
    shrinks = patch.shape[0] > imgsz
    scaled = cv2.resize(
        patch, (imgsz, imgsz), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    crop[:] = cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY)[..., None] if grey else scaled


def cut_square(rgb: ImageArray, square: list[int]) -> ImageArray:
    """Cut [x0, y0, x1, y1) in whole pixels; outside the picture its border is repeated."""
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = square
    inside = rgb[
        min(max(y0, 0), height - 1) : max(min(y1, height), 1),
        min(max(x0, 0), width - 1) : max(min(x1, width), 1),
    ]
    top, left = max(0, -y0), max(0, -x0)
    below = (y1 - y0) - top - inside.shape[0]
    right = (x1 - x0) - left - inside.shape[1]
    if top == left == below == right == 0:
        return inside
    bordered = cv2.copyMakeBorder(
        inside, top, max(0, below), left, max(0, right), cv2.BORDER_REPLICATE
    )
    return np.asarray(bordered, np.uint8)
