"""Measure a cascade's detector on the validation list: AP50, recall and false boxes, by gun height.

    python datasets/handgun/measure.py CASCADE --work FOLDER --out figures.json --modes 640 2x2

Pictures are scanned by the suite itself, down to a low floor, as they are and shrunk into 4 x 4
grids: the list as it is holds no gun below 24 px at 640, and real cameras hold little else. Boxes
are matched greedily at IoU 0.5 (as COCO does); AP50 is pycocotools'. Nothing here chooses anything.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from forensics.boxes import iou_matrix
from forensics.runlog.reader import open_run
from forensics.training.compose import Labelled, grid
from forensics.training.pictures import jpeg_bytes, read_picture
from forensics.truth.yolo import read_yolo

FLOOR = 0.002
NAMES = ("person", "weapon")
GUN = "weapon"
INPUT = 640
CELLS = 4
BANDS = (("<12", 0, 12), ("12-24", 12, 24), ("24-48", 24, 48), (">48", 48, math.inf))
BUDGETS = (50, 100, 200, 400)  # false boxes at which recall is compared
POINTS = (0.1, 0.25, 0.5)
Boxes = NDArray[np.float64]


@dataclass(frozen=True)
class Picture:
    """A still with its guns, boxes in its pixels."""

    path: Path
    width: int
    height: int
    xyxy: Boxes


def load_list(root: Path) -> list[Picture]:
    """The pictures of validation-dedup.txt with their guns."""
    found = []
    for line in (root / "validation-dedup.txt").read_text().split():
        path = root / line
        height, width = read_picture(path).shape[:2]
        label = Path(str(path).replace("/images/", "/labels/")).with_suffix(".txt")
        boxes = read_yolo(label, label.name, NAMES).media[0].boxes
        guns = np.array([name == GUN for name in boxes.label], bool)
        scale = np.array([width, height, width, height])
        found.append(Picture(path, width, height, boxes.xyxy[guns].reshape(-1, 4) * scale))
    return found


def shrink(pictures: list[Picture], folder: Path) -> list[Picture]:
    """The same pictures, CELLS x CELLS to a square of 640 px, in the list's order."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(4)  # grid() draws an aspect; pictures keep theirs within a cell
    made = []
    for start in range(0, len(pictures), CELLS**2):
        part = pictures[start : start + CELLS**2]
        cells = [Labelled(read_picture(p.path), p.xyxy, np.zeros(len(p.xyxy), int)) for p in part]
        blank = Labelled(np.full((416, 416, 3), 114, np.uint8), np.empty((0, 4)), np.empty(0, int))
        cells += [blank] * (CELLS**2 - len(cells))
        whole = grid(cells, rng)
        path = folder / f"grid-{start:04d}.jpg"
        path.write_bytes(jpeg_bytes(whole.rgb, 95))
        made.append(Picture(path, whole.rgb.shape[1], whole.rgb.shape[0], whole.xyxy))
    return made


def scan(cascade: str, pictures: list[Picture], out: Path, mode: str, precision: str) -> Path:
    """Scan stills with the suite itself."""
    options = ["--tiles", mode] if "x" in mode else ["--imgsz", mode]
    paths = [str(picture.path) for picture in pictures]
    command = [sys.executable, "-m", "forensics.cli.main", "scan", *paths, "--out", str(out)]
    command += ["--cascade", cascade, "--floor", str(FLOOR), "--detector-only", *options]
    command += ["--camera", "file", "--precision", precision]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 3}:
        raise SystemExit(done.stderr)
    return out


def detections(run: Path, pictures: list[Picture]) -> list[tuple[Boxes, Boxes]]:
    """(boxes, scores) of each picture, best first."""
    tables = open_run(run)
    media = tables.media.to_pandas()
    base = Path(tables.manifest["base"])
    place = {
        str((base / path).resolve()): key
        for path, key in zip(media.path, media.media_id, strict=True)
    }
    rows = tables.detections.to_pandas().sort_values(
        "detector_score", ascending=False, kind="stable"
    )
    by_media = dict(tuple(rows.groupby("media_id", observed=True, sort=False)))
    found = []
    for picture in pictures:
        mine = by_media.get(place[str(picture.path.resolve())], rows.iloc[:0])
        xyxy = mine[["x_min", "y_min", "x_max", "y_max"]].to_numpy(np.float64)
        found.append((xyxy, mine["detector_score"].to_numpy(np.float64)))
    return found


def match(pictures: list[Picture], found: list[tuple[Boxes, Boxes]]) -> dict[str, Boxes]:
    """Greedy matches at IoU 0.5: score and whether right of each box, score and height of each gun.

    A gun's score is that of the box that found it, -1 where none did. Heights are px at 640 input.
    """
    score, right, gun_score, height = [], [], [], []
    for picture, (xyxy, scores) in zip(pictures, found, strict=True):
        overlap = iou_matrix(xyxy, picture.xyxy)
        taken = np.full(len(picture.xyxy), -1.0)
        for row, value in zip(overlap, scores, strict=True):
            free = np.where(taken < 0, row, -1.0)
            best = int(free.argmax()) if len(free) else -1
            hit = best >= 0 and free[best] >= 0.5
            if hit:
                taken[best] = value
            score.append(value)
            right.append(hit)
        gun_score += taken.tolist()
        gain = INPUT / max(picture.width, picture.height)
        height += ((picture.xyxy[:, 3] - picture.xyxy[:, 1]) * gain).tolist()
    return {
        name: np.array(values, float)
        for name, values in (
            ("score", score),
            ("right", right),
            ("gun", gun_score),
            ("height", height),
        )
    }


def ap50(pictures: list[Picture], found: list[tuple[Boxes, Boxes]]) -> float:
    """pycocotools' AP at IoU 0.5, up to 100 boxes a picture."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth, boxes = COCO(), []
        anns = [(n, box) for n, picture in enumerate(pictures) for box in picture.xyxy]
        truth.dataset = {
            "images": [{"id": n + 1} for n in range(len(pictures))],
            "categories": [{"id": 1, "name": "gun"}],
            "annotations": [_annotation(k + 1, n + 1, box) for k, (n, box) in enumerate(anns)],
        }
        truth.createIndex()
        for n, (xyxy, scores) in enumerate(found):
            boxes += [
                _annotation(0, n + 1, b) | {"score": float(s)}
                for b, s in zip(xyxy, scores, strict=True)
            ]
        run = COCOeval(truth, truth.loadRes(boxes), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return float(run.stats[1])


def _annotation(number: int, image: int, box: Boxes) -> dict[str, Any]:
    x0, y0, x1, y1 = map(float, box)
    side = (x1 - x0, y1 - y0)
    named = {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0}
    return named | {"bbox": [x0, y0, *side], "area": side[0] * side[1]}


def figures(pictures: list[Picture], found: list[tuple[Boxes, Boxes]]) -> dict[str, Any]:
    """All that the card says of one set in one mode; counts throughout."""
    m = match(pictures, found)
    false = np.sort(m["score"][m["right"] == 0])[::-1]
    named = {name: (m["height"] >= low) & (m["height"] < high) for name, low, high in BANDS}
    result: dict[str, Any] = {"pictures": len(pictures), "guns": len(m["gun"])}
    result["ap50"] = round(ap50(pictures, found), 4)
    result["guns_by_height_px"] = {name: int(chosen.sum()) for name, chosen in named.items()}
    result["at_threshold"] = [
        {
            "threshold": t,
            "found": int((m["gun"] >= t).sum()),
            "false_boxes": int((false >= t).sum()),
        }
        for t in POINTS
    ]
    result["at_false_boxes"] = []
    for budget in BUDGETS:
        limit = float(false[budget]) if len(false) > budget else FLOOR
        hit = m["gun"] > limit
        result["at_false_boxes"].append({
            "false_boxes": budget, "above": round(limit, 4), "found": int(hit.sum()),
            "by_height_px": {name: int((hit & chosen).sum()) for name, chosen in named.items()},
        })  # fmt: skip
    return result


def main() -> None:
    """Scan, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cascade")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--modes", nargs="+", default=["640", "1280", "2x2"])
    parser.add_argument("--precision", default="fp32")
    given = parser.parse_args()
    whole = load_list(Path(os.environ["FORENSICS_DATA"]))
    sets = {"whole": whole, "shrunk 4x4": shrink(whole, given.work / "shrunk")}
    result: dict[str, Any] = {}
    for name, pictures in sets.items():
        for mode in given.modes:
            folder = given.work / f"{name.replace(' ', '-')}-{mode}-{given.precision}"
            run = scan(given.cascade, pictures, folder, mode, given.precision)
            result[f"{name}, {mode}"] = figures(pictures, detections(run, pictures))
            print(name, mode, json.dumps(result[f"{name}, {mode}"]), flush=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
