"""Hands and sleeves: capsules blended into one skin (a distance field, marched into a mesh).
Millimetres."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from skimage.measure import marching_cubes
from trimesh import Trimesh
from trimesh.smoothing import filter_taubin

Bone = tuple[Sequence[float], Sequence[float], float, float]
Part = tuple[str, Trimesh]


def _distance(points: np.ndarray, bone: Bone) -> np.ndarray:
    """Distance to a capsule whose radius runs from one end to the other."""
    start, end = np.asarray(bone[0], float), np.asarray(bone[1], float)
    axis = end - start
    along = np.clip((points - start) @ axis / (axis @ axis), 0, 1)
    nearest = start + along[..., None] * axis
    return np.linalg.norm(points - nearest, axis=-1) - (bone[2] + along * (bone[3] - bone[2]))


def _unit(vector: Sequence[float]) -> np.ndarray:
    """The direction of a vector."""
    return np.asarray(vector, float) / np.linalg.norm(vector)


def skin(bones: Sequence[Bone], blend: float, pitch: float) -> Trimesh:
    """One smooth mesh around all the bones."""
    ends = np.array([point for bone in bones for point in bone[:2]], float)
    reach = max(max(bone[2:]) for bone in bones) + 3 * pitch
    low, high = ends.min(axis=0) - reach, ends.max(axis=0) + reach
    axes = [np.arange(a, b, pitch) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    total = np.zeros(points.shape[:3])
    for bone in bones:
        total += np.exp(-np.clip(_distance(points, bone) / blend, -12, 40))
    field = -blend * np.log(np.maximum(total, 1e-12))
    vertices, faces, _, _ = marching_cubes(field, 0.0, spacing=(pitch, pitch, pitch))
    mesh = Trimesh(vertices + low, faces[:, ::-1])
    return filter_taubin(mesh, iterations=6)


def _chain(points: Sequence[Sequence[float]], radii: Sequence[float]) -> list[Bone]:
    """Capsules through the points, one radius a point."""
    return [(a, b, p, q) for a, b, p, q in zip(points, points[1:], radii, radii[1:], strict=False)]


def _sleeve(wrist: np.ndarray, elbow: np.ndarray, radius: float, seed: int) -> Trimesh:
    """A tapered sleeve with folds, from above the wrist past the elbow."""
    rng = np.random.default_rng(seed)
    axis = (elbow - wrist) / np.linalg.norm(elbow - wrist)
    side = np.cross(axis, (0.0, 0.0, 1.0))
    side /= np.linalg.norm(side)
    up = np.cross(side, axis)
    length, around = 120, 48
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    reach = np.linalg.norm(elbow - wrist)
    phases, tilts = rng.uniform(0, 2 * np.pi, 6), rng.uniform(-1.2, 1.2, 6)
    rows = []
    for step in np.linspace(0, 1, length):
        far = step * reach
        size = radius * (1.0 + 0.42 * min(1.0, far / 330))
        if far < 10:
            size *= 0.80 + 0.02 * far
        fold = sum(
            np.sin(far / (13 + 5 * i) + tilts[i] * 2 * np.sin(angle + phases[i]) + phases[i])
            for i in range(6)
        )
        ring = size + 2.0 * fold * min(1.0, far / 40)
        rows.append(
            wrist
            + axis * far
            + ring[:, None] * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * up)
        )
    faces = []
    for row in range(length - 1):
        for col in range(around):
            a, b = row * around + col, row * around + (col + 1) % around
            faces += [[a, b, b + around], [a, b + around, a + around]]
    return Trimesh(np.concatenate(rows), np.array(faces))


class Grip(NamedTuple):
    """What a fist holds: front strap, back strap, trigger, lean (sine), way of the forearm."""

    front: Sequence[float]
    back: Sequence[float]
    trigger: Sequence[float]
    lean: float = 0.31
    forearm: Sequence[float] = (-820.0, -90.0, -250.0)


def pistol_hand(
    grip: Grip, bare: bool, seed: int, left: bool = False, reach: float = 860.0
) -> list[Part]:
    """A right hand around a grip, its index finger at the trigger; reach: length of the arm."""
    slope = np.array([-grip.lean, 0.0, -np.sqrt(1 - grip.lean * grip.lean)])
    top, heel = np.asarray(grip.front, float), np.asarray(grip.back, float)
    finger = np.asarray(grip.trigger, float)
    wrist = heel + (-52.0, -8.0, -56.0)
    elbow = wrist + reach * _unit(grip.forearm)
    bones: list[Bone] = []
    for offset, size in ((20.0, 1.0), (40.0, 0.97), (58.5, 0.86)):
        at = top + slope * offset
        knuckle = at + (-36.0, -33.0, 2.0)
        bend, tip = at + (7.0, -22.0, 0.0), at + (-24.0, 24.5, 1.0)
        bones += _chain(
            [knuckle, bend, at + (8.5, 13.0, 0.0), tip],
            [11.5 * size, 10.6 * size, 10 * size, 8.6 * size],
        )
        bones.append((wrist, knuckle, 18.0, 12.0))
    knuckle = top + (-32.0, -31.0, 6.0)
    bones += _chain(
        [
            knuckle,
            finger + (-20.0, -21.0, 5.0),
            finger + (2.0, -13.0, 0.0),
            finger + (2.0, 2.0, 0.0),
        ],
        [11.5, 9.8, 8.6, 7.4],
    )
    bones += [(wrist, knuckle, 18.0, 12.0), (wrist, heel + (-7.0, -3.0, -8.0), 19.0, 13.0)]
    base = heel + (-2.0, 21.0, -20.0)
    bones += _chain(
        [wrist, base, heel + (26.0, 25.0, 0.0), heel + (56.0, 20.5, 3.0)], [19.0, 14.0, 10.6, 8.4]
    )
    bones.append((wrist, wrist + 120.0 * _unit(elbow - wrist), 24.0, 27.0))
    parts = [("skin" if bare else "glove", skin(bones, 2.6, 2.8))]
    start = wrist + (50.0 if bare else 30.0) * _unit(elbow - wrist)
    parts.append(("sleeve", _sleeve(start, elbow, 37.0, seed)))
    return _mirrored(parts) if left else parts


def slab_hand(
    half_width: float,
    half_thick: float,
    bare: bool,
    seed: int,
    left: bool = False,
    low: float = 0.0,
) -> list[Part]:
    """A hand around a slab in the x-z plane (screen towards -y): palm behind, thumb on an edge."""
    w, t = half_width, half_thick
    wrist = np.array([-4.0, 36.0, -118.0 - low])
    elbow = wrist + (-90.0, 150.0, -820.0)
    bones: list[Bone] = []
    for z, size in ((22.0, 1.0), (2.0, 1.04), (-18.0, 0.98), (-37.0, 0.84)):
        z -= low
        knuckle = (-14.0, t + 24.0, z - 14.0)
        bones += _chain(
            [
                knuckle,
                (w * 0.62, t + 17.0, z - 4.0),
                (w + 8.0, t + 4.0, z),
                (w - 4.0, -t - 6.5, z + 3.0),
            ],
            [12.0 * size, 10.4 * size, 9.6 * size, 7.6 * size],
        )
        bones.append((wrist, knuckle, 19.0, 12.5))
    bones += _chain(
        [
            wrist,
            (-w - 1.0, t + 16.0, -48.0 - low),
            (-w - 10.0, t, -10.0 - low),
            (-w + 2.0, -t - 8.0, 22.0 - low),
        ],
        [20.0, 16.0, 11.5, 8.8],
    )
    bones.append((wrist, wrist + 120.0 * _unit(elbow - wrist), 24.0, 27.0))
    parts = [("skin" if bare else "glove", skin(bones, 2.6, 2.8))]
    parts.append(("sleeve", _sleeve(wrist + 50.0 * _unit(elbow - wrist), elbow, 37.0, seed)))
    return _mirrored(parts) if left else parts


def _mirrored(parts: list[Part]) -> list[Part]:
    """The same parts seen in the x-z mirror."""
    result = []
    for material, mesh in parts:
        twin = mesh.copy()
        twin.apply_transform(np.diag([1.0, -1.0, 1.0, 1.0]))
        result.append((material, twin))
    return result
