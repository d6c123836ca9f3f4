"""The work around both networks on PyTorch tensors of any device, for frames that stay on a GPU.

The same steps as on the CPU path: letterbox (as `footage.pixels`), boxes (as `Detector`) and crops
(as `cut_crops`). Pictures are resized by two matrices, one for each axis, which hold the weights
of area averaging where a side shrinks and of linear interpolation where it grows: what FFmpeg and
OpenCV do, but for their fixed-point rounding (at most 2 of 255 levels; tests hold it to that).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.boxes import Letterbox, square_crop
from forensics.cascade.definition import ClassifierSpec, DetectorSpec
from forensics.errors import BackendError
from forensics.tiling import View
from forensics.types import Detections, FloatArray

PAD_GREY = 114
GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


def load_torch() -> Any:
    """PyTorch, which nothing else in a scan needs. Raises BackendError."""
    try:
        import torch
        import torchvision  # noqa: F401  its operators register themselves
    except Exception as error:  # a CUDA build may fail in many ways to load
        raise BackendError(f"PyTorch cannot be loaded ({error}); install forensics[train]") from (
            error
        )
    return torch


def letterbox(rgb: Any, box: Letterbox) -> Any:
    """uint8 RGB (height, width, 3) -> uint8 (imgsz, imgsz, 3) on the same device."""
    torch = load_torch()
    width, height = box.content
    left, top = box.offset
    shape = (box.imgsz, box.imgsz, 3)
    result = torch.full(shape, PAD_GREY, dtype=torch.uint8, device=rgb.device)
    small = _resized(rgb, _weights(box.height, height), _weights(box.width, width))
    result[top : top + height, left : left + width] = small
    return result


def boxes(raw: Any, view: View, spec: DetectorSpec, floor: float) -> Detections:
    """Raw output of one view, float32 (4 + classes, anchors), to boxes in the frame's pixels.

    Only the boxes kept leave the device. The whole frame's view alone: tiles are merged on the
    CPU, from what this returns for each.
    """
    torch = load_torch()
    from torchvision.ops import batched_nms

    columns = [spec.classes.index(name) for name in spec.candidates]
    best, which = raw[4:][columns].max(dim=0)
    chosen = torch.nonzero(best >= float(np.float32(floor)))[:, 0]
    # In double precision, as on the CPU, so that no box is kept here and dropped there.
    centre, size = raw[0:2, chosen].T.double(), raw[2:4, chosen].T.double()
    xyxy = torch.cat([centre - size / 2, centre + size / 2], dim=1)
    score, class_id = best[chosen], which[chosen]
    order = torch.sort(score, descending=True, stable=True).indices
    kept = batched_nms(xyxy[order], score[order].double(), class_id[order], spec.nms_iou)
    kept = order[kept][: spec.max_detections]
    names = np.asarray(columns, np.int32)
    return Detections(
        view.to_source(_host(xyxy[kept])),
        _host(score[kept]).astype(np.float32),
        names[_host(class_id[kept])],
    )


def crops(rgb: Any, xyxy: FloatArray, spec: ClassifierSpec) -> Any:
    """Full-resolution uint8 RGB (height, width, 3), boxes (n, 4) -> uint8 (n, imgsz, imgsz, 3)."""
    torch = load_torch()
    shape = (len(xyxy), spec.imgsz, spec.imgsz, 3)
    result = torch.empty(shape, dtype=torch.uint8, device=rgb.device)
    height, width = rgb.shape[:2]
    squares = square_crop(xyxy, spec.padding, spec.min_side).tolist()
    for number, (x0, y0, x1, _) in enumerate(squares):
        weights = _weights(x1 - x0, spec.imgsz)
        columns, across = _inside(weights, x0, width)
        rows, down = _inside(weights, y0, height)
        patch = _resized(rgb[rows, columns], down, across)
        if spec.grey:
            luma = patch.float() @ torch.tensor(GREY_WEIGHTS, device=rgb.device)
            patch = (luma + 0.5).to(torch.uint8)[..., None]
        result[number] = patch
    return result


@lru_cache(maxsize=256)
def _weights(before: int, after: int) -> NDArray[np.float32]:
    """Matrix (after, before) whose rows, each of sum 1, weigh `before` pixels into one of `after`.

    Shrinking: the share of each pixel in the span [k r, (k + 1) r), r = before / after. Growing:
    linear between the pixels around (k + 1/2) r - 1/2, the border repeated.
    """
    ratio = before / after
    places = np.arange(after, dtype=np.float64)[:, None]
    pixels = np.arange(before, dtype=np.float64)[None]
    if ratio > 1:
        low, high = places * ratio, (places + 1) * ratio
        shares = np.clip(np.minimum(pixels + 1, high) - np.maximum(pixels, low), 0, 1) / ratio
    else:
        at = np.clip((places + 0.5) * ratio - 0.5, 0, before - 1)
        shares = np.clip(1 - np.abs(pixels - at), 0, 1)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def _inside(
    weights: NDArray[np.float32], start: int, length: int
) -> tuple[slice, NDArray[np.float32]]:
    """The pixels of a span that the picture has, and their weights.

    What lies outside repeats the border: its weight is added to that of the border.
    """
    places = np.clip(np.arange(start, start + weights.shape[1]), 0, length - 1)
    first, last = int(places[0]), int(places[-1])
    folded = np.zeros((len(weights), last - first + 1), np.float32)
    np.add.at(folded.T, places - first, weights.T)
    return slice(first, last + 1), folded


def _resized(rgb: Any, down: NDArray[np.float32], across: NDArray[np.float32]) -> Any:
    torch = load_torch()
    rows, columns = (torch.from_numpy(w).to(rgb.device) for w in (down, across))
    planes = rgb.permute(2, 0, 1).float()
    resized = rows @ planes @ columns.T
    return (resized + 0.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0)


def _host(values: Any) -> NDArray[Any]:
    return np.asarray(values.cpu().numpy())
