"""Turn side-view outlines into solid meshes. Lengths are millimetres; x forward, y left, z up."""

from collections.abc import Iterable, Sequence

import numpy as np
import trimesh
from shapely.geometry import Polygon
from trimesh import Trimesh

Vec3 = tuple[float, float, float]


def outline(points: Sequence[tuple[float, float]], rounding: float = 0.0) -> Polygon:
    """A side-view polygon in (x, z), its corners rounded by the given radius."""
    shape = Polygon(points)
    if rounding > 0:
        shape = shape.buffer(rounding).buffer(-2 * rounding).buffer(rounding)
    return shape


def plate(shape: Polygon, width: float, y: float = 0.0) -> Trimesh:
    """The outline extruded to the given width, centred on y."""
    pieces = [piece for piece in getattr(shape, "geoms", [shape]) if piece.area > 0]
    solid = trimesh.util.concatenate(
        [trimesh.creation.extrude_polygon(piece, width) for piece in pieces]
    )
    turn = np.array(
        [[1, 0, 0, 0], [0, 0, -1, width / 2 + y], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=float
    )
    solid.apply_transform(turn)
    return solid


def bevelled(shape: Polygon, width: float, bevel: float, steps: int = 4) -> Trimesh:
    """The outline extruded with edges that are rounded off in a few fine steps."""
    layers = []
    for step in range(steps + 1):
        angle = 0.5 * np.pi * step / steps
        inset = bevel * (1 - np.cos(angle))
        smaller = shape.buffer(-inset)
        if not smaller.is_empty:
            layers.append(plate(smaller, width - 2 * bevel * (1 - np.sin(angle))))
    return union(layers)


def box(low: Vec3, high: Vec3) -> Trimesh:
    """An axis-aligned box between two corners."""
    return trimesh.creation.box(bounds=np.array([low, high], dtype=float))


def rod(start: Vec3, end: Vec3, radius: float, sections: int = 32) -> Trimesh:
    """A cylinder between two points."""
    return trimesh.creation.cylinder(
        radius, segment=np.array([start, end], dtype=float), sections=sections
    )


def union(parts: Iterable[Trimesh]) -> Trimesh:
    """Boolean union."""
    return trimesh.boolean.union(list(parts), engine="manifold")


def cut(body: Trimesh, tools: Iterable[Trimesh]) -> Trimesh:
    """The body less the tools."""
    return trimesh.boolean.difference([body, *tools], engine="manifold")
