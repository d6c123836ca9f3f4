"""Harmless hand-held objects modelled in code: a mobile phone, a folded umbrella.
Millimetres."""

import numpy as np
import trimesh
from shapely.geometry import Point
from shapely.geometry import box as rectangle
from trimesh import Trimesh

from planting.solids import bevelled, box, plate, rod, union

Part = tuple[str, Trimesh]


def phone(long: float = 152.0, wide: float = 74.0, thick: float = 8.4) -> list[Part]:
    """A slab phone standing in the x-z plane: screen towards -y, camera bump on the other face."""
    outer = rectangle(-wide / 2, -long / 2, wide / 2, long / 2).buffer(-10).buffer(10)
    body = bevelled(outer, thick, 2.0)
    glass = plate(outer.buffer(-2.2), 0.8, -thick / 2 - 0.2)
    picture = plate(
        rectangle(-wide / 2 + 5, -long / 2 + 7, wide / 2 - 5, long / 2 - 7), 0.4, -thick / 2 - 0.7
    )
    bump = plate(
        rectangle(wide / 2 - 36, long / 2 - 42, wide / 2 - 8, long / 2 - 8).buffer(4),
        2.0,
        thick / 2 + 0.8,
    )
    lenses = [
        plate(Point(wide / 2 - 22, long / 2 - dz).buffer(6.4), 1.6, thick / 2 + 2.2)
        for dz in (16, 33)
    ]
    keys = box((wide / 2 - 0.5, -1.6, 12), (wide / 2 + 1.0, 1.6, 40))
    return [
        ("case", body),
        ("glass", glass),
        ("screen", picture),
        ("glass", union([bump, *lenses])),
        ("case", keys),
    ]


def umbrella() -> list[Part]:
    """A folded pocket umbrella along z: handle below, pleated canopy above."""
    handle = union([rod((0, 0, -62), (0, 0, 44), 13.0), rod((0, 0, -74), (0, 0, -62), 15.0)])
    rings = []
    for z, radius in ((44, 15.0), (60, 21.0), (120, 27.0), (180, 28.0), (228, 24.0), (246, 12.0)):
        angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        pleat = radius * (1 + 0.10 * np.sin(8 * angle + z / 40))
        rings.append(
            np.stack([pleat * np.cos(angle), pleat * np.sin(angle), np.full(64, float(z))], axis=1)
        )
    canopy = _loft(rings)
    band = rod((0, 0, 128), (0, 0, 142), 29.5)
    tip = rod((0, 0, 240), (0, 0, 268), 5.0)
    return [("polymer", handle), ("cloth", canopy), ("leather", band), ("bright", tip)]


def _loft(rings: list[np.ndarray]) -> Trimesh:
    """A closed skin over a stack of rings with the same number of points."""
    count = len(rings[0])
    points = np.concatenate([*rings, rings[0].mean(axis=0)[None], rings[-1].mean(axis=0)[None]])
    faces = []
    for level in range(len(rings) - 1):
        for index in range(count):
            a, b = level * count + index, level * count + (index + 1) % count
            faces += [[a, b, b + count], [a, b + count, a + count]]
    low, high = len(points) - 2, len(points) - 1
    top = (len(rings) - 1) * count
    for index in range(count):
        following = (index + 1) % count
        faces += [[low, following, index], [high, top + index, top + following]]
    return trimesh.Trimesh(points, np.array(faces))
