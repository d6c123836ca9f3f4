"""Build a clip's object and hand, move them along their path, and lay them over the footage."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from planting import decoys, guns, hands
from planting.clips import Clip, Plant
from planting.compose import compose
from planting.footage import read
from planting.render import Camera, Part, Pose, render
from planting.truth import Box

SHUTTER = 0.30
"""Share of the time between two frames for which the shutter is open."""


GRIPS = {
    "semi_automatic": hands.Grip((-24, 0, -20), (-90, 0, -20), (9, 0, -27)),
    "revolver": hands.Grip((-50, 0, -24), (-96, 0, -30), (-16, 0, -34)),
    "umbrella": hands.Grip((13, 0, 34), (-20, 0, 30), (17, 0, 40), 0.0, (-420.0, -80.0, -760.0)),
}
OBJECTS = {
    "semi_automatic": guns.semi_automatic,
    "revolver": guns.revolver,
    "umbrella": decoys.umbrella,
    "phone": decoys.phone,
}


def build(plant: Plant, seed: int) -> list[Part]:
    """The object and the hand that holds it."""
    bare = plant.hand != "glove"
    grip = GRIPS.get(plant.thing)
    if grip is None:
        hand = hands.slab_hand(37, 4.2, bare, seed, plant.left, low=34.0)
    else:
        hand = hands.pistol_hand(grip, bare, seed, plant.left, plant.reach)
    return [*OBJECTS[plant.thing](), *hand]


class Path3:
    """A smooth path through a plant's keys, with a little tremor of the hand."""

    def __init__(self, plant: Plant, seed: int) -> None:
        """Fit the path."""
        keys = np.array(plant.keys, float)
        self._first, self._last = keys[0, 0], keys[-1, 0]
        self._curve = PchipInterpolator(keys[:, 0], keys[:, 1:], axis=0)
        rng = np.random.default_rng(seed)
        self._phase = rng.uniform(0, 2 * np.pi, (6, 3))
        self._size = plant.tremor * np.array([1.2, 1.2, 0.0, 1.5, 1.0, 1.2])

    def at(self, seconds: float) -> Pose | None:
        """The pose at a time; None before the first and after the last key."""
        if not self._first <= seconds <= self._last:
            return None
        waves = (
            np.sin(2 * np.pi * seconds * np.array([0.9, 1.7, 3.1]) + self._phase).sum(axis=1) / 2
        )
        return Pose(*(self._curve(seconds) + self._size * waves))


def planted_frames(
    clip: Clip,
    source: Path,
    samples: int,
) -> tuple[list[tuple[Fraction, np.ndarray]], dict[int, Box]]:
    """The clip's frames with its object in them, and the object's box on each frame where it can be
    seen."""
    plant = clip.plant
    if plant is None:
        raise ValueError(f"{clip.name}: nothing to plant")
    parts = build(plant, clip.seed)
    camera = Camera(*clip.cut.size, plant.focal)
    path = Path3(plant, clip.seed)
    frames, boxes = [], {}
    for index, (time, picture) in enumerate(read(source, clip.cut)):
        seed = clip.seed * 10000 + 2 * index
        pose = path.at(float(time))
        layer = (
            None
            if pose is None
            else render(parts, pose, camera, plant.light, plant.tints, samples, seed)
        )
        if pose is not None and layer is not None:
            shift = _shift(path, float(time), pose)
            picture, seen = compose(picture, layer, plant.look, shift, np.random.default_rng(seed))
            if seen is not None:
                boxes[index] = Box(plant.category, seen.bbox, seen.area, seen.share)
        frames.append((time, picture))
    return frames, boxes


def _shift(path: Path3, seconds: float, pose: Pose) -> tuple[float, float]:
    """Pixels that the object moves while the shutter is open."""
    before = path.at(seconds - 0.01)
    if before is None:
        return (0.0, 0.0)
    scale = SHUTTER / 0.01 / 25
    move = (scale * (pose.u - before.u), scale * (pose.v - before.v))
    return move if math.hypot(*move) < 40 else (0.0, 0.0)
