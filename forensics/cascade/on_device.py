"""The work around both networks on PyTorch tensors of any device, for frames that stay on a GPU.

The same steps as on the CPU path: letterbox (as `footage.pixels`), boxes (as `Detector`) and crops
(as `cut_crops`). Pictures are resized by two matrices, one for each axis, which hold the weights
of area averaging where a side shrinks and of linear interpolation where it grows: what OpenCV does,
within 2 of 255 levels, and nearly what FFmpeg does. Tests hold boxes to 0.5 px of the input.
"""

from __future__ import annotations

from dataclasses import dataclass
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
FULL_RANGE = 2
LUMA_SHARES = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}  # Kr, Kb of BT.709, BT.2020; else BT.601
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


@dataclass(frozen=True, slots=True)
class Planes:
    """A picture as video keeps it: 8-bit 4:2:0, uint8 tensors of one device.

    `luma` (height, width); `blue` and `red`, its chroma, half as high and wide. NVDEC's NV12 has
    chroma interleaved: its planes are `[..., 0]` and `[..., 1]`. `matrix` and `range` are FFmpeg's
    numbers.
    """

    luma: Any
    blue: Any
    red: Any
    matrix: int
    range: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.luma.shape
        return int(height), int(width)


def letterbox(picture: Planes, box: Letterbox) -> Any:
    """uint8 RGB (imgsz, imgsz, 3) on the picture's device.

    Luma and chroma are scaled apart and converted then, as FFmpeg does: averaging after the
    conversion moved boxes by 2 pixels.
    """
    torch = load_torch()
    width, height = box.content
    left, top = box.offset
    small = [
        _resized(plane[None].float(), _weights(rows, height), _weights(columns, width))
        for plane in (picture.luma, picture.blue, picture.red)
        for rows, columns in [plane.shape]
    ]
    shape = (box.imgsz, box.imgsz, 3)
    result = torch.full(shape, PAD_GREY, dtype=torch.uint8, device=picture.luma.device)
    result[top : top + height, left : left + width] = _as_rgb(torch.cat(small), picture)
    return result


def full_rgb(picture: Planes) -> Any:
    """uint8 RGB (height, width, 3): each chroma value serves the 2 x 2 pixels around it."""
    torch = load_torch()
    height, width = picture.size
    chroma = torch.stack([picture.blue, picture.red]).repeat_interleave(2, 1)
    chroma = chroma.repeat_interleave(2, 2)[:, :height, :width]
    return _as_rgb(torch.cat([picture.luma[None], chroma]).float(), picture)


def _as_rgb(ycc: Any, picture: Planes) -> Any:
    """float (3, h, w) of luma and chroma, 0 .. 255 -> uint8 RGB (h, w, 3).

    R = Y + 2 (1 - Kr) Cr, B = Y + 2 (1 - Kb) Cb, G = (Y - Kr R - Kb B) / (1 - Kr - Kb).
    """
    torch = load_torch()
    kr, kb = LUMA_SHARES.get(picture.matrix, (0.299, 0.114))
    if picture.range == FULL_RANGE:
        luma, blue, red = ycc[0], ycc[1] - 128, ycc[2] - 128
    else:
        luma = (ycc[0] - 16) * (255 / 219)
        blue, red = ((ycc[n] - 128) * (255 / 224) for n in (1, 2))
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return _as_bytes(torch.stack([r, g, b], dim=-1))


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
        planes = rgb[rows, columns].permute(2, 0, 1).float()
        patch = _as_bytes(_resized(planes, down, across).permute(1, 2, 0))
        if spec.grey:
            luma = patch.float() @ torch.tensor(GREY_WEIGHTS, device=rgb.device)
            patch = _as_bytes(luma)[..., None]
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


def _resized(planes: Any, down: NDArray[np.float32], across: NDArray[np.float32]) -> Any:
    """float (planes, h, w) -> float (planes, rows of `down`, rows of `across`)."""
    torch = load_torch()
    rows, columns = (torch.from_numpy(w).to(planes.device) for w in (down, across))
    return rows @ planes @ columns.T


def _as_bytes(values: Any) -> Any:
    return (values + 0.5).clamp(0, 255).to(load_torch().uint8)


def _host(values: Any) -> NDArray[Any]:
    return np.asarray(values.cpu().numpy())
