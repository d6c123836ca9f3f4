"""Crop data sets of drawn things: the same arguments give the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from forensics.training import crops as crop_sets
from forensics.training.classifier_settings import TrainSettings
from forensics.training.crops import BOX
from forensics.training.neighbours import difference_hash, to_hex
from forensics.types import ImageArray

RULE = {"imgsz": 64, "padding": 1.4, "min_side": 24}
SHAPES = ("gun", "cell_phone", "umbrella", "cup", "other")
QUICK_TRAINING = TrainSettings(
    model="test_efficientnet", weights="none", epochs=1, batch=8, freeze_epochs=0
)


def draw(label: str, rng: np.random.Generator, imgsz: int = 64) -> ImageArray:
    """A bright, plain shape for each label on a dark, noisy ground, uint8 RGB."""
    rgb = rng.integers(20, 80, (imgsz, imgsz, 3)).astype(np.uint8)
    ink = tuple(int(v) for v in rng.integers(170, 250, 3))
    x, y = (int(v) for v in rng.integers(-4, 5, 2) + imgsz // 2)
    r = imgsz // 3
    match label:
        case "gun":  # an angle: barrel and grip
            cv2.rectangle(rgb, (x - r, y - r // 2), (x + r, y - r // 4), ink, -1)
            cv2.rectangle(rgb, (x + r // 2, y - r // 2), (x + r, y + r), ink, -1)
        case "cell_phone":
            cv2.rectangle(rgb, (x - r // 2, y - r), (x + r // 2, y + r), ink, -1)
        case "umbrella":
            cv2.ellipse(rgb, (x, y), (r, r), 0, 180, 360, ink, -1)
            cv2.line(rgb, (x, y), (x, y + r), ink, 2)
        case "cup":
            cv2.circle(rgb, (x, y), r, ink, 4)
        case _:
            cv2.line(rgb, (x - r, y - r), (x + r, y + r), ink, 2)
    return np.asarray(rgb, np.uint8)


def write_crops(
    folder: Path,
    counts: Mapping[str, tuple[int, int]],
    *,
    seed: int = 0,
    rule: Mapping[str, Any] = RULE,
    cameras: int = 3,
) -> Path:
    """Write `counts`: label -> (train, val) crops; each split has cameras of its own."""
    rng = np.random.default_rng(seed)
    rows = []
    for label, (train, val) in counts.items():
        for split, n in (("train", train), ("val", val)):
            for k in range(n):
                crop_id = f"{seed:04x}{SHAPES.index(label):04x}{split == 'val':04x}{k:04x}"
                file = crop_sets.picture_path(crop_id, split, label)
                write_png(folder / file, draw(label, rng, rule["imgsz"]))
                rows.append(row(crop_id, file, label, split, f"{split}{k % cameras}"))
    return write_table(folder, rows, rule)


def write_table(
    folder: Path, rows: list[dict[str, Any]], rule: Mapping[str, Any] = RULE
) -> Path:
    """Write table and manifest of pictures that are there."""
    for one in rows:
        data = (folder / one["file"]).read_bytes()
        one["sha256"] = hashlib.sha256(data).hexdigest()
        rgb = crop_sets.decode_picture(data)
        one["dhash"] = None if rgb is None else to_hex(difference_hash(rgb)[None])[0]
    manifest = {"schema": 1, "rule": dict(rule), "targets": ["gun"]}
    crop_sets.write_crops(folder, manifest, pa.Table.from_pylist(rows, schema=crop_sets.SCHEMA))
    return folder


def row(crop_id: str, file: str, label: str, split: str, group: str) -> dict[str, Any]:
    corner = int(crop_id, 16) % 997
    box = {name: float(corner + k) for name, k in zip(BOX, (0, 0, 9, 9), strict=True)}
    return {
        **box,
        "frame_index": int(crop_id, 16) % 2**31,
        "crop_id": crop_id,
        "file": file,
        "source": f"{group}/clip.mp4",
        "group": group,
        "label": label,
        "split": split,
        "side_px": 64,
    }


def write_png(path: Path, rgb: ImageArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", rgb[..., ::-1])[1].tobytes())
