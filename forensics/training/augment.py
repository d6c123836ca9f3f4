"""Make a crop look as a surveillance camera might have given it.

Every function takes uint8 RGB (h, w, 3), and a generator where it draws, and returns a new picture
of the same shape. None knows the label: how sharp, grey or noisy a training crop is must say
nothing about its class, because in the source data it does.

The order is that of a camera. What happens before the sensor (pose, motion) comes first, then the
crop is shrunk to the few pixels that a camera would have had, is exposed, gets noise and is
compressed, and only then is it enlarged as the cascade enlarges small crops.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.random import Generator

from forensics.types import ImageArray

EFFECTIVE_PX = (8, 80)  # side of the crop in source pixels
TURN_DEG, SHIFT, SCALE = 12.0, 0.08, 1.25
GAMMA, GAIN, CAST = 1.8, 1.3, 0.08
LUMA = np.array([0.299, 0.587, 0.114])


def augment(rgb: ImageArray, rng: Generator, *, grey_share: float = 0.5) -> ImageArray:
    """All of it, by chance: the training view of one crop."""
    side = rgb.shape[0]
    seen = wander(flip(rgb, rng), rng)
    if rng.random() < 0.3:
        seen = motion_blur(seen, rng)
    if rng.random() < 0.85:
        seen = shrink(seen, effective_side(rng))
    seen = infrared(seen, rng) if rng.random() < 0.2 else exposure(seen, rng)
    if rng.random() < 0.5:
        seen = sensor_noise(seen, rng)
    if rng.random() < 0.6:
        seen = compress(seen, rng)
    if seen.shape[0] != side:
        seen = enlarge(seen, side)
    return grey(seen) if rng.random() < grey_share else seen


def grey(rgb: ImageArray) -> ImageArray:
    """Grey over three channels, by the same rule as the cascade."""
    return np.repeat(_array(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))[..., None], 3, axis=2)


def flip(rgb: ImageArray, rng: Generator) -> ImageArray:
    """Mirrored left to right, half of the time."""
    return np.ascontiguousarray(rgb[:, ::-1]) if rng.random() < 0.5 else rgb.copy()


def wander(rgb: ImageArray, rng: Generator) -> ImageArray:
    """Turned, shifted and scaled a little, as detector boxes wander; the border is repeated."""
    height, width = rgb.shape[:2]
    scale = math.exp(rng.uniform(-1, 1) * math.log(SCALE))
    centre = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, rng.uniform(-TURN_DEG, TURN_DEG), scale)
    matrix = matrix + np.outer(rng.uniform(-SHIFT, SHIFT, 2) * (width, height), (0, 0, 1))
    moved = cv2.warpAffine(
        rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


def motion_blur(rgb: ImageArray, rng: Generator) -> ImageArray:
    """Smeared along a straight line of up to a twelfth of the side."""
    length = int(rng.integers(3, max(4, rgb.shape[0] // 12) + 1))
    kernel = np.zeros((length, length), np.float32)
    reach, angle = (length - 1) / 2, rng.uniform(0, math.pi)
    dx, dy = reach * math.cos(angle), reach * math.sin(angle)
    ends = [(round(reach + k * dx), round(reach + k * dy)) for k in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    smeared = cv2.filter2D(rgb, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smeared, np.uint8)


def effective_side(rng: Generator) -> int:
    """How many source pixels wide the crop was: log-uniform over `EFFECTIVE_PX`, for any class."""
    low, high = map(math.log, EFFECTIVE_PX)
    return round(math.exp(rng.uniform(low, high)))


def shrink(rgb: ImageArray, side: int) -> ImageArray:
    """Averaged down to `side` x `side`; a crop that is as small already stays as it is."""
    if side >= rgb.shape[0]:
        return rgb.copy()
    return np.asarray(cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def enlarge(rgb: ImageArray, side: int) -> ImageArray:
    """Enlarged to `side` x `side` as the cascade does it (linear)."""
    return np.asarray(cv2.resize(rgb, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def rescale(rgb: ImageArray, rng: Generator) -> ImageArray:
    """Shrunk to a random effective size and enlarged again: the detail is lost."""
    return enlarge(shrink(rgb, effective_side(rng)), rgb.shape[0])


def exposure(rgb: ImageArray, rng: Generator) -> ImageArray:
    """Other gamma and gain, and a slight cast of colour."""
    gamma = math.exp(rng.uniform(-1, 1) * math.log(GAMMA))
    gain = math.exp(rng.uniform(-1, 1) * math.log(GAIN))
    casts = gain * (1 + rng.uniform(-CAST, CAST, 3))
    curve = (np.arange(256) / 255) ** gamma
    table = _bytes(255 * curve[:, None] * casts)
    return np.stack([table[rgb[..., k], k] for k in range(3)], axis=-1)


def infrared(rgb: ImageArray, rng: Generator) -> ImageArray:
    """A night camera: hardly any colour, other tones, a bright middle, and light that blooms."""
    weights = LUMA * rng.uniform(0.4, 1.6, 3)
    light = (rgb @ (weights / weights.sum())) / 255
    height, width = light.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    lamp = 1 - rng.uniform(0, 0.5) * np.clip(x * x + y * y, 0, 2) / 2
    light = np.clip(light * lamp * rng.uniform(0.7, 1.8), 0, 1.5)
    sigma = max(0.5, height * rng.uniform(0.02, 0.08))
    light += rng.uniform(0, 0.8) * cv2.GaussianBlur(np.clip(light - 0.75, 0, None), (0, 0), sigma)
    rest = rng.uniform(0, 0.15) * (rgb / 255 - (rgb / 255).mean(axis=2, keepdims=True))
    return _bytes(255 * (light[..., None] + rest))


def sensor_noise(rgb: ImageArray, rng: Generator) -> ImageArray:
    """Noise whose variance grows with the light: shot noise and read-out noise."""
    read, shot = rng.uniform(0.5, 6), rng.uniform(0, 0.6)
    spread = np.sqrt(read * read + shot * rgb.astype(np.float32))
    noise = rng.standard_normal(rgb.shape, np.float32)
    if rng.random() < 0.5:  # luma noise: the same in all channels
        noise = np.broadcast_to(noise[..., :1], rgb.shape)
    return _bytes(rgb + spread * noise)


def compress(rgb: ImageArray, rng: Generator) -> ImageArray:
    """Through a codec and back: JPEG, or WebP, which is a key frame of the VP8 video codec."""
    if rng.random() < 0.5:
        kind, key, quality = ".jpg", cv2.IMWRITE_JPEG_QUALITY, rng.integers(20, 81)
    else:
        kind, key, quality = ".webp", cv2.IMWRITE_WEBP_QUALITY, rng.integers(5, 61)
    _, data = cv2.imencode(kind, rgb, [key, int(quality)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _array(plane: object) -> ImageArray:
    return np.asarray(plane, np.uint8)


def _bytes(values: object) -> ImageArray:
    return np.asarray(np.clip(np.rint(np.asarray(values)), 0, 255), np.uint8)
