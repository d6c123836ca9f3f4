"""Lay a rendered layer over a real frame with the frame's own blur, noise and a soft shadow."""

from dataclasses import dataclass

import cv2
import numpy as np

from planting.render import Layer


@dataclass(frozen=True)
class Look:
    """What the real camera does to a picture, measured by eye on the footage."""

    exposure: float = 1.0
    gamma: float = 1.0
    """Above one: deeper shadows, as in a contrasty camera."""
    blur: float = 0.7
    noise: float = 2.0
    shadow: tuple[float, float, float, float] | None = None
    """Offset right, offset down, softness (pixels), strength (0 to 1) of the shadow on what is
    behind."""


@dataclass(frozen=True)
class Seen:
    """The box of the visible pixels (x, y, w, h), their number, the share of the object in the
    picture."""

    bbox: tuple[int, int, int, int]
    area: int
    share: float


def to_linear(values: np.ndarray) -> np.ndarray:
    """sRGB 0-1 to linear light."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_display(values: np.ndarray) -> np.ndarray:
    """Linear light to sRGB 0-1."""
    clipped = np.clip(values, 0, 1)
    return np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)


def _streak(shift: tuple[float, float]) -> np.ndarray | None:
    """A line kernel along the motion during the shutter; None where it is too short to matter."""
    length = float(np.hypot(*shift))
    if length < 1.0:
        return None
    size = 2 * int(np.ceil(length / 2)) + 3
    kernel = np.zeros((size, size), np.float32)
    for step in np.linspace(-0.5, 0.5, 4 * size):
        x, y = size / 2 - 0.5 + shift[0] * step, size / 2 - 0.5 + shift[1] * step
        kernel[round(y), round(x)] += 1
    kernel = cv2.GaussianBlur(kernel, (3, 3), 0.5)
    return kernel / kernel.sum()


def _soften(picture: np.ndarray, look: Look, shift: tuple[float, float]) -> np.ndarray:
    """The camera's blur and the motion's streak; nothing beyond the picture is mirrored into it."""
    out = picture.astype(np.float32)
    kernel = _streak(shift)
    if kernel is not None:
        out = cv2.filter2D(out, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    if look.blur > 0:
        out = cv2.GaussianBlur(out, (0, 0), look.blur, borderType=cv2.BORDER_REPLICATE)
    return out


def _shade(cover: np.ndarray, shadow: tuple[float, float, float, float]) -> np.ndarray:
    """How much light the planted thing leaves for what is behind it."""
    move = np.array([[1, 0, shadow[0]], [0, 1, shadow[1]]], np.float32)
    moved = cv2.warpAffine(cover, move, (cover.shape[1], cover.shape[0]))
    return 1 - shadow[3] * cv2.GaussianBlur(moved, (0, 0), shadow[2])


def compose(
    frame: np.ndarray,
    layer: Layer,
    look: Look,
    shift: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[np.ndarray, Seen | None]:
    """The frame (RGB, 8 bits) with the layer over it, and what of the planted object can be
    seen."""
    cover = _soften(layer.cover, look, shift)[..., None]
    toned = np.where(
        layer.cover[..., None] > 0, layer.colour / np.maximum(layer.cover[..., None], 1e-3), 0
    )
    toned = look.exposure * np.maximum(toned, 0) ** look.gamma * layer.cover[..., None]
    colour = _soften(toned, look, shift)
    target = _soften(layer.target, look, shift)
    behind = to_linear(frame.astype(np.float32) / 255)
    if look.shadow is not None:
        behind = behind * _shade(layer.cover, look.shadow)[..., None]
    display = to_display(behind * (1 - cover) + colour) * 255
    grain = cv2.GaussianBlur(
        rng.normal(0, look.noise * 1.8, frame.shape).astype(np.float32), (0, 0), 0.7
    )
    out = np.clip(np.rint(display + grain * cover), 0, 255).astype(np.uint8)
    return out, _seen(target > 0.5, layer.share)


def _seen(mask: np.ndarray, share: float) -> Seen | None:
    """The box around the visible pixels; None where fewer than 12 are left."""
    area = int(mask.sum())
    if area < 12:
        return None
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (int(cols[0]), int(rows[0]), int(cols[-1] - cols[0] + 1), int(rows[-1] - rows[0] + 1))
    return Seen(box, area, share)
