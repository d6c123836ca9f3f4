"""Render posed parts with Mitsuba 3 to premultiplied colour, coverage, and the object's own
coverage."""

import math
from dataclasses import dataclass

import mitsuba as mi
import numpy as np
from trimesh import Trimesh

from planting.materials import HOLDER, Rgb, surface

mi.set_variant("scalar_rgb")
mi.set_log_level(mi.LogLevel.Error)

MARGIN = 500
"""Pixels rendered beyond each side of the picture, so that the share of an object outside it is
known."""

Part = tuple[str, Trimesh]
Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Light:
    """A soft sky with one broad brighter side. Directions in picture axes: x right, y down, z
    away."""

    sky: Rgb
    ground: Rgb
    key: Rgb
    towards: tuple[float, float, float]
    width: float = 0.5


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: picture size and focal length in pixels."""

    width: int
    height: int
    focal: float


@dataclass(frozen=True)
class Pose:
    """Where the object's origin is (pixels), how large (pixels a millimetre) and how turned
    (degrees)."""

    u: float
    v: float
    scale: float
    yaw: float
    lean: float
    roll: float


@dataclass(frozen=True)
class Layer:
    """Premultiplied linear colour, coverage, the object's own coverage and its share in the
    picture."""

    colour: np.ndarray
    cover: np.ndarray
    target: np.ndarray
    share: float


def _rotation(pose: Pose) -> np.ndarray:
    """Object axes (x forward, y left, z up) to picture axes."""
    yaw, lean, roll = (math.radians(angle) for angle in (pose.yaw, pose.lean, pose.roll))
    about_y = np.array(
        [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, math.cos(lean), -math.sin(lean)], [0, math.sin(lean), math.cos(lean)]]
    )
    about_z = np.array(
        [[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]]
    )
    base = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float)
    return about_z @ about_x @ about_y @ base


def place(pose: Pose, camera: Camera) -> np.ndarray:
    """The 4 x 4 matrix from object millimetres to picture axes."""
    depth = camera.focal / pose.scale
    matrix = np.eye(4)
    matrix[:3, :3] = _rotation(pose)
    matrix[:3, 3] = (
        (pose.u - camera.width / 2) / pose.scale,
        (pose.v - camera.height / 2) / pose.scale,
        depth,
    )
    return matrix


def _environment(light: Light) -> dict[str, object]:
    """The light as a small latitude-longitude picture."""
    rows, cols = 32, 64
    polar = (np.arange(rows) + 0.5) / rows * np.pi
    turn = (np.arange(cols) + 0.5) / cols * 2 * np.pi
    up = np.cos(polar)[:, None] * np.ones((1, cols))
    across = np.sin(polar)[:, None] * np.sin(turn)[None]
    ahead = -np.sin(polar)[:, None] * np.cos(turn)[None]
    mix = np.clip(0.5 + 0.5 * up / 0.6, 0, 1)[..., None]
    towards = np.asarray(light.towards, float) / np.linalg.norm(light.towards)
    # the picture is turned by half a turn about x: up is -y, and z changes its sign with it
    facing = across * towards[0] + up * -towards[1] + ahead * -towards[2]
    blob = np.exp((facing - 1) / light.width**2 * 2)[..., None]
    data = (
        mix * np.array(light.sky) + (1 - mix) * np.array(light.ground) + blob * np.array(light.key)
    )
    bitmap = mi.Bitmap(data.astype(np.float32))
    turned = mi.ScalarTransform4f().rotate([1, 0, 0], 180)
    return {"type": "envmap", "bitmap": bitmap, "to_world": turned}


def _shape(
    mesh: Trimesh, name: str, bsdf: dict[str, object], matrix: np.ndarray, glow: bool
) -> mi.Mesh:
    """One mesh placed before the camera, flat-shaded unless it is skin or cloth."""
    smooth = name in HOLDER or name == "cloth"
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict(bsdf)
    if glow:
        properties["emitter"] = mi.load_dict(
            {"type": "area", "radiance": {"type": "rgb", "value": 1.0}}
        )
    if not smooth:
        properties["face_normals"] = True
    points = mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    shape = mi.Mesh(name, len(points), len(mesh.faces), properties, smooth, False)
    params = mi.traverse(shape)
    params["vertex_positions"] = points.astype(np.float32).ravel()
    params["faces"] = mesh.faces.astype(np.uint32).ravel()
    if smooth:
        turned = mesh.vertex_normals @ matrix[:3, :3].T
        params["vertex_normals"] = turned.astype(np.float32).ravel()
    params.update()
    return shape


def _window(parts: list[Part], matrix: np.ndarray, camera: Camera, outside: int) -> Window | None:
    """The rectangle of the margined film that the parts cover, at most so far outside the
    picture."""
    points = np.concatenate([mesh.vertices for _, mesh in parts]) @ matrix[:3, :3].T + matrix[:3, 3]
    points = points[points[:, 2] > 60]
    low, far = MARGIN - outside, MARGIN + outside
    u = points[:, 0] / points[:, 2] * camera.focal + camera.width / 2 + MARGIN
    v = points[:, 1] / points[:, 2] * camera.focal + camera.height / 2 + MARGIN
    x0, y0 = max(low, math.floor(u.min()) - 2), max(low, math.floor(v.min()) - 2)
    x1 = min(camera.width + far, math.ceil(u.max()) + 2)
    y1 = min(camera.height + far, math.ceil(v.max()) + 2)
    return (x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else None


def _on_picture(patch: np.ndarray, window: Window, camera: Camera) -> np.ndarray:
    """The patch on an empty picture, what lies outside cut off."""
    film = np.zeros(
        (camera.height + 2 * MARGIN, camera.width + 2 * MARGIN, *patch.shape[2:]), np.float32
    )
    film[window[1] : window[1] + window[3], window[0] : window[0] + window[2]] = patch
    return film[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _film(camera: Camera, window: Window, samples: int, seed: int) -> dict[str, object]:
    """A sensor that looks along +z with y down and renders the window only."""
    width, height = camera.width + 2 * MARGIN, camera.height + 2 * MARGIN
    view = mi.ScalarTransform4f().look_at(origin=[0, 0, 0], target=[0, 0, 1], up=[0, -1, 0])
    return {
        "type": "perspective",
        "fov_axis": "x",
        "to_world": view,
        "near_clip": 20.0,
        "far_clip": 60000.0,
        "fov": math.degrees(2 * math.atan(width / 2 / camera.focal)),
        "film": {
            "type": "hdrfilm",
            "width": width,
            "height": height,
            "pixel_format": "rgba",
            "crop_offset_x": window[0],
            "crop_offset_y": window[1],
            "crop_width": window[2],
            "crop_height": window[3],
            "rfilter": {"type": "box"},
        },
        "sampler": {"type": "independent", "sample_count": samples, "seed": seed},
    }


def _own_coverage(
    parts: list[Part], matrix: np.ndarray, camera: Camera, seed: int
) -> tuple[np.ndarray, float]:
    """Coverage of the object alone (the hand before it hides it), and the share of it inside the
    picture."""
    empty = np.zeros((camera.height, camera.width), np.float32)
    window = _window([part for part in parts if part[0] not in HOLDER], matrix, camera, MARGIN)
    if window is None:
        return empty, 0.0
    hidden = {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.0}}
    scene: dict[str, object] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 1},
        "sensor": _film(camera, window, 9, seed),
    }
    for index, (name, mesh) in enumerate(parts):
        scene[f"part{index}"] = _shape(mesh, name, hidden, matrix, name not in HOLDER)
    own = np.clip(np.array(mi.render(mi.load_dict(scene)))[..., 0], 0, 1)
    inside = _on_picture(own, window, camera)
    return inside, float(inside.sum() / own.sum()) if own.sum() > 0 else 0.0


def render(
    parts: list[Part],
    pose: Pose,
    camera: Camera,
    light: Light,
    tints: dict[str, Rgb],
    samples: int,
    seed: int,
) -> Layer | None:
    """The parts in the given pose; None where none of them can be seen."""
    matrix = place(pose, camera)
    window = _window(parts, matrix, camera, 8)
    if window is None:
        return None
    scene: dict[str, object] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 4, "hide_emitters": True},
        "sensor": _film(camera, window, samples, seed),
        "light": _environment(light),
    }
    for index, (name, mesh) in enumerate(parts):
        scene[f"part{index}"] = _shape(mesh, name, surface(name, tints), matrix, False)
    beauty = _on_picture(np.array(mi.render(mi.load_dict(scene))), window, camera)
    own, share = _own_coverage(parts, matrix, camera, seed + 1)
    return Layer(beauty[..., :3], beauty[..., 3], own, share)
