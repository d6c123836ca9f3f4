"""The work around both networks on PyTorch tensors of any device, for frames that stay on a GPU.

The same steps as on the CPU path: letterbox (as `footage.pixels`), boxes (as `Detector`) and crops
(as `cut_crops`). Pictures are resized by two matrices, one for each axis, which hold the weights
of area averaging where a side shrinks and of linear interpolation where it grows: what OpenCV does,
within 2 of 255 levels, and nearly to the bit what FFmpeg does, whose colours are taken to the bit.
Tests hold boxes to 0.5 px of the input.

No sum here depends on how frames are grouped, and nothing that is uploaded makes the host wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.boxes import Letterbox, square_crop
from forensics.cascade.definition import ClassifierSpec, DetectorSpec
from forensics.cascade.detector import MAX_CANDIDATES
from forensics.errors import BackendError
from forensics.footage.grey import LUMA_SHARES as KNOWN_MATRICES
from forensics.footage.grey import grey_weights
from forensics.tiling import View
from forensics.types import Detections, FloatArray, Frame

PAD_GREY = 114
FULL_RANGE = 2
# Kr, Kb of FFmpeg's matrices; else BT.601: FCC, SMPTE 240M, BT.709, BT.2020.
LUMA_SHARES = {4: (0.30, 0.11), 7: (0.212, 0.087), 1: (0.2126, 0.0722)}
LUMA_SHARES |= {9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma
MOST_WEIGHTS = 1 << 22  # of one matrix: a picture of a million columns must not fill the memory
FINENESS = 1 << 20  # boxes are compared in steps of 1 / FINENESS of a pixel


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


@contextmanager
def device_errors() -> Iterator[None]:
    """What PyTorch raises within, as BackendError with what to do."""
    torch = load_torch()
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise BackendError(
            "the GPU is out of memory; end other programs that use it, or give a smaller --batch "
            "or --imgsz"
        ) from error
    except RuntimeError as error:  # also of CUDA: an illegal address, a GPU that was lost
        said = " ".join(str(error).split())[:400]
        raise BackendError(f"PyTorch failed on the device: {said}; run the scan again") from error


def try_on(device: str) -> None:
    """Ask of a device, in small, what frames will; raises what PyTorch raises.

    A PyTorch that was built for other GPUs, or a torchvision without CUDA, shows here.
    """
    torch = load_torch()
    from torchvision.ops import nms

    grey = torch.zeros((1, 8, 8), device=device)
    _host(nms((grey @ grey)[0, :, :4], grey[0, 0], 0.5))


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

    def scaled(self, height: int, width: int) -> Any:
        """uint8 RGB (height, width, 3): planes are scaled and then converted, as on the CPU."""
        if (height, width) == self.size:
            return self.region(0, 0, width, height)
        (luma,) = _as_bytes(_scaled(self.luma[None].float(), height, width))
        chroma = load_torch().stack([self.blue, self.red]).float()
        blue, red = _as_bytes(_scaled(chroma, -(-height // 2), -(-width // 2)))
        small = Planes(luma, blue, red, self.matrix, self.range)
        return small.region(0, 0, width, height)

    def region(self, left: int, top: int, right: int, bottom: int) -> Any:
        """uint8 RGB (bottom - top, right - left, 3): each chroma value serves 2 x 2 pixels."""
        return _as_rgb(self._part(left, top, right, bottom), self)

    def grey(self, left: int, top: int, right: int, bottom: int) -> Any:
        """The same part, uint8 (bottom - top, right - left, 1), as `footage.grey` makes it."""
        if self.matrix not in KNOWN_MATRICES:
            return _grey(self.region(left, top, right, bottom))
        part = self._part(left, top, right, bottom)
        *shares, offset = grey_weights(self.matrix, self.range == FULL_RANGE)[0].tolist()
        mixed = sum(plane * share for plane, share in zip(part, shares, strict=True))
        return _as_bytes(mixed + offset)[..., None]

    def _part(self, left: int, top: int, right: int, bottom: int) -> Any:
        """float (3, bottom - top, right - left): luma and both chromas, as stored."""
        torch = load_torch()
        chroma = torch.stack(
            [
                plane[top // 2 : -(-bottom // 2), left // 2 : -(-right // 2)]
                for plane in (self.blue, self.red)
            ]
        )
        chroma = chroma.repeat_interleave(2, 1).repeat_interleave(2, 2)
        rows, columns = (slice(low % 2, low % 2 + n) for low, n in _sides(left, top, right, bottom))
        luma = self.luma[top:bottom, left:right]
        return torch.cat([luma[None], chroma[:, rows, columns]]).float()


@dataclass(frozen=True, slots=True)
class Rgb:
    """A picture as uint8 RGB (height, width, 3)."""

    pixels: Any

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width, _ = self.pixels.shape
        return int(height), int(width)

    def scaled(self, height: int, width: int) -> Any:
        """uint8 RGB (height, width, 3)."""
        return _patch(self.pixels, lambda planes: _scaled(planes, height, width))

    def region(self, left: int, top: int, right: int, bottom: int) -> Any:
        """uint8 RGB (bottom - top, right - left, 3)."""
        return self.pixels[top:bottom, left:right]


Picture = Planes | Rgb


def picture_of(frame: Frame, data: Any) -> Picture:
    """The picture of a frame whose packed `data`, uint8 (bytes,), lies on a device."""
    packed, height, width = frame.packed, frame.height, frame.width
    assert packed is not None
    if packed.format == "rgb24":
        return Rgb(data.reshape(height, width, 3))
    n, rows, columns = height * width, height // 2, width // 2
    luma, blue, red = data.split([n, n // 4, n // 4])
    full = packed.format == "yuvj420p"  # by its name
    return Planes(
        luma.reshape(height, width),
        blue.reshape(rows, columns),
        red.reshape(rows, columns),
        packed.matrix,
        FULL_RANGE if full else packed.range,
    )


def letterbox(picture: Picture, box: Letterbox) -> Any:
    """uint8 RGB (imgsz, imgsz, 3) on the picture's device."""
    torch = load_torch()
    width, height = box.content
    left, top = box.offset
    content = picture.scaled(height, width)
    shape = (box.imgsz, box.imgsz, 3)
    result = torch.full(shape, PAD_GREY, dtype=torch.uint8, device=content.device)
    result[top : top + height, left : left + width] = content
    return result


def _as_rgb(ycc: Any, picture: Planes) -> Any:
    """float (3, h, w) of luma and chroma, 0 .. 255 -> uint8 RGB (h, w, 3).

    R = Y + 2 (1 - Kr) Cr, B = Y + 2 (1 - Kb) Cb, G = (Y - Kr R - Kb B) / (1 - Kr - Kb), each
    term rounded down, as FFmpeg does.
    """
    torch = load_torch()
    kr, kb = LUMA_SHARES.get(picture.matrix, (0.299, 0.114))
    if picture.range == FULL_RANGE:
        luma, blue, red = ycc[0], ycc[1] - 128, ycc[2] - 128
    else:
        luma = (ycc[0] - 16) * (255 / 219)
        blue, red = ((ycc[n] - 128) * (255 / 224) for n in (1, 2))
    luma, for_red, for_blue = luma.floor(), 2 * (1 - kr) * red, 2 * (1 - kb) * blue
    r, b = luma + for_red.floor(), luma + for_blue.floor()
    kg = 1 - kr - kb
    g = luma + (for_red * (-kr / kg)).floor() + (for_blue * (-kb / kg)).floor()
    return torch.stack([r, g, b], dim=-1).clamp(0, 255).to(torch.uint8)


def boxes(
    raw: Any, views: Sequence[View], spec: DetectorSpec, floor: np.float32
) -> list[Detections]:
    """Raw outputs, float32 (n, 4 + classes, anchors), of n views to boxes in the frames' pixels.

    Only the boxes kept leave the device. The whole frames' views alone: tiles are merged on the
    CPU.
    """
    torch = load_torch()
    from torchvision.ops import nms

    columns = [spec.classes.index(name) for name in spec.candidates]
    best, which = torch.stack([raw[:, 4 + column] for column in columns], dim=1).max(dim=1)
    best, order = torch.sort(best, dim=1, descending=True, stable=True)
    image, rank = torch.nonzero(best[:, :MAX_CANDIDATES] >= float(floor), as_tuple=True)
    if not len(image):
        return [_detections(np.empty((0, 7)), view, columns, spec) for view in views]
    anchor = order[image, rank]
    class_id = which[image, anchor]
    # In double precision, as on the CPU, so that no box is kept here and dropped there.
    centre, size = raw[image, 0:2, anchor].double(), raw[image, 2:4, anchor].double()
    xyxy = torch.cat([centre - size / 2, centre + size / 2], dim=1)
    score = best[image, rank].double()
    kept = nms(_apart(xyxy, image * len(columns) + class_id), score, spec.nms_iou)
    whose = torch.stack([image, class_id], dim=1).double()
    table = _host(torch.cat([whose, score[:, None], xyxy], dim=1)[kept])
    return [
        _detections(table[table[:, 0] == number], view, columns, spec)
        for number, view in enumerate(views)
    ]


def _apart(xyxy: Any, group: Any) -> Any:
    """Boxes double (n, 4) moved so that those of different groups do not meet.

    All in steps of 1 / `FINENESS`, so that overlaps within a group stay the same to the bit.
    """
    torch = load_torch()
    step = torch.exp2(torch.ceil(torch.log2(2 * xyxy.abs().max() + 2)))
    return torch.round(xyxy * FINENESS) / FINENESS + (group * step)[:, None]


def _detections(
    rows: NDArray[np.float64], view: View, columns: list[int], spec: DetectorSpec
) -> Detections:
    """Rows of image, number in `columns`, score, box, best first -> the best of them."""
    rows = rows[: spec.max_detections]
    names = np.asarray(columns, np.int32)
    score = rows[:, 2].astype(np.float32)
    return Detections(view.to_source(rows[:, 3:7]), score, names[rows[:, 1].astype(np.intp)])


def crops(picture: Picture, xyxy: FloatArray, spec: ClassifierSpec) -> Any:
    """Full-resolution picture, boxes (n, 4) in its pixels -> uint8 (n, imgsz, imgsz, 3).

    Only what the squares show is converted. Raises ValueError or MemoryError.
    """
    torch = load_torch()
    squares = square_crop(xyxy, spec.padding, spec.min_side).tolist()
    return torch.stack([_crop(picture, square, spec) for square in squares])


def _crop(picture: Picture, square: list[int], spec: ClassifierSpec) -> Any:
    x0, y0, x1, y1 = square
    height, width = picture.size
    left, right = _inside(x0, x1, width)
    top, bottom = _inside(y0, y1, height)

    def resized(planes: Any) -> Any:
        columns = _resampled(planes, Span(x0 - left, x1 - x0, spec.imgsz))
        return _resampled(columns.mT, Span(y0 - top, y1 - y0, spec.imgsz)).mT

    if not spec.grey:
        return _patch(picture.region(left, top, right, bottom), resized)
    if isinstance(picture, Planes):
        patch = _patch(picture.grey(left, top, right, bottom), resized)
    else:
        patch = _grey(_patch(picture.region(left, top, right, bottom), resized))
    return patch.expand(-1, -1, 3)


def _grey(rgb: Any) -> Any:
    """uint8 RGB (h, w, 3) -> uint8 (h, w, 1), as OpenCV."""
    luma = sum(rgb[..., n].float() * share for n, share in enumerate(GREY_WEIGHTS))
    return _as_bytes(luma)[..., None]


def _inside(low: int, high: int, length: int) -> tuple[int, int]:
    """The part of a span that a side of `length` pixels has, at least one pixel."""
    first = min(max(low, 0), length - 1)
    return first, max(first + 1, min(high, length))


def _sides(left: int, top: int, right: int, bottom: int) -> list[tuple[int, int]]:
    """First and number of rows, then of columns."""
    return [(top, bottom - top), (left, right - left)]


def _patch(pixels: Any, resized: Callable[[Any], Any]) -> Any:
    """uint8 (h, w, channels), resized as float (channels, h, w)."""
    return _as_bytes(resized(pixels.permute(2, 0, 1).float()).permute(1, 2, 0))


@dataclass(frozen=True, slots=True)
class Span:
    """`before` pixels from `start` on, to be resampled to `after`.

    What lies outside the picture repeats its border.
    """

    start: int
    before: int
    after: int

    def piece(self, low: int, high: int, length: int, device: Any) -> tuple[slice, Any]:
        """Which of a side's `length` pixels make the new ones from `low` to `high`, and their
        weights, float32 (high - low, pixels), of sum 1.

        Shrinking: the share of each pixel in the span [k r, (k + 1) r), r = before / after.
        Growing: linear between the pixels around (k + 1/2) r - 1/2.
        """
        torch = load_torch()
        ratio = self.before / self.after
        first = max(0, int(low * ratio) - 1)
        stop = min(self.before, int(high * ratio) + 2)
        places = torch.arange(low, high, dtype=torch.float64, device=device)[:, None]
        pixels = torch.arange(first, stop, dtype=torch.float64, device=device)[None]
        if ratio > 1:
            over = torch.minimum(pixels + 1, (places + 1) * ratio)
            shares = (over - torch.maximum(pixels, places * ratio)).clamp(0, 1)
        else:
            at = ((places + 0.5) * ratio - 0.5).clamp(0, self.before - 1)
            shares = (1 - (pixels - at).abs()).clamp(0, 1)
        weights = (shares / shares.sum(dim=1, keepdim=True)).float()
        return _folded(weights, self.start + first, length)

    @property
    def steps(self) -> int:
        """How many new pixels at a time, so that their matrix is not too large."""
        ratio = max(1.0, self.before / self.after)
        return max(1, min(self.after, int((MOST_WEIGHTS / ratio) ** 0.5)))


def _folded(weights: Any, start: int, length: int) -> tuple[slice, Any]:
    """The pixels from `start` on that the picture has; weights outside go to its border."""
    n = weights.shape[1]
    first, last = (min(max(at, 0), length - 1) for at in (start, start + n - 1))
    head, tail = first - start + 1, last - start
    if first == last:
        return slice(first, last + 1), weights.sum(dim=1, keepdim=True)
    parts = [weights[:, :head], weights[:, tail:]]
    low, high = (part.sum(dim=1, keepdim=True) for part in parts)
    folded = load_torch().cat([low, weights[:, head:tail], high], dim=1)
    return slice(first, last + 1), folded


# Frames of one video have one size, and crops hardly ever.
_kept_piece = lru_cache(maxsize=8)(Span.piece)


def _resampled(planes: Any, span: Span, piece: Callable[..., Any] = Span.piece) -> Any:
    """float (..., length) -> float (..., span.after)."""
    found = []
    for low in range(0, span.after, span.steps):
        high = min(low + span.steps, span.after)
        where, weights = piece(span, low, high, planes.shape[-1], planes.device)
        found.append(planes[..., where] @ weights.T)
    return found[0] if len(found) == 1 else load_torch().cat(found, dim=-1)


def _scaled(planes: Any, height: int, width: int) -> Any:
    """float (planes, h, w) -> float (planes, height, width)."""
    rows, columns = (int(n) for n in planes.shape[1:])
    small = _resampled(planes.mT, Span(0, rows, height), _kept_piece).mT
    return _resampled(small, Span(0, columns, width), _kept_piece)


def _as_bytes(values: Any) -> Any:
    return (values + 0.5).clamp(0, 255).to(load_torch().uint8)


def _host(values: Any) -> NDArray[Any]:
    return np.asarray(values.cpu().numpy())
