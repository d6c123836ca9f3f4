"""Make training pictures at the sizes at which real cameras show small objects.

Photographs show a gun over hundreds of pixels, a camera shows it over ten to forty. So labelled
pictures are shrunk into grids, and cut-out objects are pasted into frames of footage that hold
none. Decoys are pasted in just the same way, so that being pasted is no sign of a target; colour
and aspect, which would give a picture's origin away, are taken away from half of the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from forensics.types import ImageArray

SIDE = 640
SMALLEST_PX = 6.0  # a box whose longer side is less is dropped: nobody could label it
PASTE_HEIGHT_PX = (10.0, 44.0)
ASPECTS = (1.0, 4 / 3, 16 / 9)
PLAIN_STD = 14.0
GROUND = 114

Boxes = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Labelled:
    """uint8 RGB (h, w, 3), boxes float64 (n, 4) in its pixels and int64 class ids (n,)."""

    rgb: ImageArray
    xyxy: Boxes
    class_id: Ids


@dataclass(frozen=True, slots=True)
class CutOut:
    """An object to paste: uint8 RGB (h, w, 3), float32 alpha (h, w); class -1 is a decoy."""

    rgb: ImageArray
    alpha: NDArray[np.float32]
    class_id: int


def vary_look(picture: Labelled, rng: np.random.Generator, *, stretched: bool) -> Labelled:
    """Turn half of the pictures grey; give half of the squeezed ones another aspect."""
    rgb, xyxy = picture.rgb, picture.xyxy
    if rng.random() < 0.5:
        rgb = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if stretched and rng.random() < 0.5:
        gain = rng.uniform(1.2, 1.78)
        width = round(rgb.shape[1] * gain)
        xyxy = xyxy * np.array([width / rgb.shape[1], 1, width / rgb.shape[1], 1])
        rgb = np.asarray(cv2.resize(rgb, (width, rgb.shape[0])), np.uint8)
    return Labelled(np.ascontiguousarray(rgb), xyxy, picture.class_id)


def fit(picture: Labelled, width: int, height: int) -> Labelled:
    """Scale a picture, keeping its aspect, so that it just fits into width x height."""
    gain = min(width / picture.rgb.shape[1], height / picture.rgb.shape[0])
    new = tuple(max(1, round(side * gain)) for side in picture.rgb.shape[1::-1])
    how = cv2.INTER_AREA if gain < 1 else cv2.INTER_LINEAR
    return Labelled(
        np.asarray(cv2.resize(picture.rgb, new, interpolation=how), np.uint8),
        picture.xyxy * gain,
        picture.class_id,
    )


def grid(pictures: Sequence[Labelled], rng: np.random.Generator) -> Labelled:
    """Shrink k x k pictures into one of a random aspect, its longer side SIDE pixels."""
    k = round(len(pictures) ** 0.5)
    width, height = SIDE, round(SIDE / float(rng.choice(ASPECTS)))
    canvas = np.full((height, width, 3), GROUND, np.uint8)
    boxes, ids = [], []
    cell_width, cell_height = width // k, height // k
    for place, picture in enumerate(pictures):
        small = fit(picture, cell_width, cell_height)
        left = place % k * cell_width + (cell_width - small.rgb.shape[1]) // 2
        top = place // k * cell_height + (cell_height - small.rgb.shape[0]) // 2
        canvas[top : top + small.rgb.shape[0], left : left + small.rgb.shape[1]] = small.rgb
        boxes.append(small.xyxy + np.array([left, top, left, top]))
        ids.append(small.class_id)
    return drop_specks(Labelled(canvas, np.concatenate(boxes), np.concatenate(ids)))


def drop_specks(picture: Labelled) -> Labelled:
    """Drop boxes too small to be labelled by anybody."""
    sides = picture.xyxy[:, 2:] - picture.xyxy[:, :2]
    kept = sides.max(axis=1, initial=0.0) >= SMALLEST_PX
    return Labelled(picture.rgb, picture.xyxy[kept], picture.class_id[kept])


def cut_out(rgb: ImageArray, xyxy: NDArray[np.float64], class_id: int) -> CutOut | None:
    """Cut an object out: by its even background where there is one, else softly by its box."""
    x0, y0, x1, y1 = (round(float(v)) for v in xyxy)
    patch = rgb[max(0, y0) : y1, max(0, x0) : x1]
    if min(patch.shape[:2]) < 8:
        return None
    scale = min(1.0, 160 / max(patch.shape[:2]))
    if scale < 1:
        new = tuple(max(8, round(side * scale)) for side in patch.shape[1::-1])
        patch = np.asarray(cv2.resize(patch, new, interpolation=cv2.INTER_AREA), np.uint8)
    return CutOut(np.ascontiguousarray(patch), _alpha(patch), class_id)


def _alpha(patch: ImageArray) -> NDArray[np.float32]:
    edge = np.concatenate([patch[0], patch[-1], patch[:, 0], patch[:, -1]]).astype(np.float32)
    ground = np.median(edge, axis=0)
    if np.abs(edge - ground).mean() < PLAIN_STD:
        distance = np.abs(patch.astype(np.float32) - ground).max(axis=2)
        solid = cv2.morphologyEx(
            (distance > 24).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)
        )
        if 0.08 < solid.mean() < 0.95:
            return np.asarray(cv2.GaussianBlur(solid.astype(np.float32), (0, 0), 0.8), np.float32)
    return _soft_box(*patch.shape[:2])


def _soft_box(height: int, width: int) -> NDArray[np.float32]:
    """Opaque inside, fading over the outer eighth."""
    ramps = [
        np.clip(np.minimum(np.arange(n) + 1, n - np.arange(n)) / max(1.0, n / 8), 0, 1)
        for n in (height, width)
    ]
    return np.asarray(np.outer(*ramps), np.float32)


def paste(scene: Labelled, objects: Sequence[CutOut], rng: np.random.Generator) -> Labelled:
    """Paste objects at the sizes of real footage; targets add a box, decoys none.

    Each is turned, mirrored, brought near the scene's brightness, blurred and given the noise of
    a compressed picture with it. One that would cover a labelled box is left out.
    """
    rgb, boxes, ids = scene.rgb.copy(), list(scene.xyxy), list(scene.class_id)
    taken = [np.asarray(box, np.float64) for box in boxes]
    for item in objects:
        placed = _place(rgb, _turned(item, rng), taken, rng)
        if placed is None:
            continue
        taken.append(placed)
        if item.class_id >= 0:
            boxes.append(placed)
            ids.append(np.int64(item.class_id))
    rgb = _weather(rgb, rng)
    return Labelled(rgb, np.array(boxes, np.float64).reshape(-1, 4), np.array(ids, np.int64))


def _turned(item: CutOut, rng: np.random.Generator) -> CutOut:
    """Scale to a drawn height, mirror, turn by up to a quarter of a right angle."""
    rgb, alpha = item.rgb, item.alpha
    if rng.random() < 0.5:
        rgb, alpha = rgb[:, ::-1], alpha[:, ::-1]
    height = float(np.exp(rng.uniform(*np.log(PASTE_HEIGHT_PX))))
    gain = height / rgb.shape[0]
    gain = min(gain, 2.2 * PASTE_HEIGHT_PX[1] / rgb.shape[1])
    size = max(3, round(rgb.shape[1] * gain)), max(3, round(rgb.shape[0] * gain))
    how = cv2.INTER_AREA if gain < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(np.ascontiguousarray(rgb), size, interpolation=how)
    mask = cv2.resize(np.ascontiguousarray(alpha), size, interpolation=how)
    return _rotated(
        np.asarray(picture, np.uint8),
        np.asarray(mask, np.float32),
        float(rng.uniform(-22, 22)),
        item.class_id,
    )


def _rotated(
    rgb: ImageArray, alpha: NDArray[np.float32], degrees: float, class_id: int
) -> CutOut:
    height, width = alpha.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = (int(height * sine + width * cosine) + 1, int(height * cosine + width * sine) + 1)
    matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    turned = np.asarray(
        cv2.warpAffine(rgb, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
    mask = np.asarray(cv2.warpAffine(alpha, matrix, size), np.float32)
    rows, columns = (np.flatnonzero((mask > 0.3).any(axis=axis)) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return CutOut(turned, mask, class_id)
    inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return CutOut(turned[inside], mask[inside], class_id)


def _place(
    rgb: ImageArray, item: CutOut, taken: Sequence[Boxes], rng: np.random.Generator
) -> Boxes | None:
    """Blend `item` into `rgb` at a free place; its box, or None where there is none."""
    height, width = item.alpha.shape
    if height >= rgb.shape[0] or width >= rgb.shape[1]:
        return None
    for _ in range(8):
        left = int(rng.integers(0, rgb.shape[1] - width))
        top = int(rng.integers(0, rgb.shape[0] - height))
        box = np.array([left, top, left + width, top + height], np.float64)
        if any(_touch(box, other) for other in taken):
            continue
        ground = rgb[top : top + height, left : left + width].astype(np.float32)
        front = _lit(item.rgb.astype(np.float32), ground, rng)
        alpha = item.alpha[..., None] * rng.uniform(0.85, 1.0)
        blended = alpha * front + (1 - alpha) * ground
        rgb[top : top + height, left : left + width] = np.clip(blended, 0, 255).astype(np.uint8)
        return box
    return None


def _touch(a: Boxes, b: Boxes) -> bool:
    return bool(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])


def _lit(
    front: NDArray[np.float32], ground: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Bring the object's brightness and colour part of the way to the scene's."""
    if rng.random() < 0.5:  # many things in the hand are just dark
        front = front * rng.uniform(0.35, 0.8)
    pull = rng.uniform(0.0, 0.5)
    moved = front + pull * (ground.mean(axis=(0, 1)) - front.mean(axis=(0, 1)))
    if float(np.ptp(ground.mean(axis=(0, 1)))) < 2.0:  # a grey scene has grey objects
        moved = np.repeat(moved.mean(axis=2, keepdims=True), 3, axis=2)
    return np.asarray(moved, np.float32)


def _weather(rgb: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Blur, sensor noise and compression over scene and objects together."""
    if rng.random() < 0.6:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(0.3, 1.0))), np.uint8)
    if rng.random() < 0.5:
        noise = rng.normal(0, rng.uniform(1, 6), rgb.shape[:2])[..., None]
        rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    quality = int(rng.integers(35, 90))
    coded = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
