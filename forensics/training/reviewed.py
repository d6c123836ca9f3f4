"""Crops of detections that a person looked at: the reviewer's say on rows of a run's log.

The labels file is a CSV with the columns path, frame_index, detection_index and label (others are
ignored; an empty label says nothing). The crops become a small data set beside the new network,
all of it for training: the validation crops of the old one stay as they are.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from forensics.boxes import square_crop
from forensics.cascade.crops import cut_crops
from forensics.cascade.definition import ClassifierSpec
from forensics.errors import TrainingError
from forensics.footage.grab import grab_frames
from forensics.runlog.places import Places
from forensics.runlog.reader import RunTables
from forensics.runlog.writer import write_bytes, write_json, write_table
from forensics.training.classifier_model import FitMeta
from forensics.training.crop_table import BOX, SCHEMA, CropRule, Problem
from forensics.training.examples import OTHER, TRAIN, write_problems
from forensics.types import ImageArray

COLUMNS = ("path", "frame_index", "detection_index", "label")
Key = tuple[str, int, int]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Review:
    """One labelled detection. `row`: its row of the log; `line` of the labels `file`."""

    file: str
    key: Key
    label: str
    line: int
    row: dict[str, Any]

    @property
    def xyxy(self) -> list[float]:
        return [float(self.row[name]) for name in BOX]


def read_reviews(
    path: Path, tables: RunTables, classes: Sequence[str]
) -> tuple[list[Review], list[Problem]]:
    """Labels that belong to rows of the log, and what is wrong with the others."""
    told: dict[Key, tuple[str, int]] = {}
    problems: list[Problem] = []
    for line, values in _lines(path):
        key, what = _key(values)
        label = (values["label"] or "").strip()
        if key is not None and not label:
            continue
        if key is not None and label not in classes:
            what = f"unknown class {label!r}; the network has {', '.join(classes)}"
        elif key is not None and told.get(key, (label,))[0] != label:
            what = f"labelled {label} here and {told[key][0]} in line {told[key][1]}"
        if what or key is None:
            problems.append(Problem(str(path), line, what))
        else:
            told.setdefault(key, (label, line))
    rows = _log_rows(tables, set(told))
    for key, (_, line) in told.items():
        if key not in rows:
            where = f"{key[0]} frame {key[1]} detection {key[2]}"
            problems.append(Problem(str(path), line, f"{where} is not in the run"))
    known = [Review(str(path), key, *said, rows[key]) for key, said in told.items() if key in rows]
    return known, sorted(problems, key=lambda p: p.line)


def cut_reviews(
    reviews: Sequence[Review],
    problems: Sequence[Problem],
    tables: RunTables,
    meta: FitMeta,
    out: Path,
    progress: Progress | None = None,
) -> list[Problem]:
    """Write the crops of `reviews` as a data set; return what was left out, `problems` included.

    Raises TrainingError when nothing is left.
    """
    faults = list(problems)
    rows = []
    for review, rgb in _frames(reviews, tables, faults, progress):
        row, crop = _cut(review, rgb, meta)
        _, data = cv2.imencode(".png", crop[..., ::-1])
        write_bytes(data.tobytes(), out / row["file"])
        rows.append(row)
    faults.sort(key=lambda p: p.line)
    write_problems(faults, out / "problems.csv")
    if not rows:
        first = f"; the first fault: line {faults[0].line}: {faults[0].what}" if faults else ""
        raise TrainingError(f"no reviewed detection can be used{first}")
    write_table(pa.Table.from_pylist(rows), out / "crops.parquet")
    rule = CropRule(meta.imgsz, meta.padding, meta.min_side)
    cascade = tables.manifest["cascade"]
    text = {"schema": SCHEMA, "rule": asdict(rule), "cascade": cascade, "counts": len(rows)}
    write_json(text | {"run": tables.manifest["id"]}, out / "crops.json")
    return faults


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (table.fieldnames or [])]:
                raise TrainingError(
                    f"{path} lacks the column {missing[0]}; its first line must name "
                    f"{', '.join(COLUMNS)}"
                )
            for values in table:
                yield table.line_num, values
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}; give --labels") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path} is not a CSV file in UTF-8 ({error})") from error


def _key(values: dict[str, str]) -> tuple[Key | None, str]:
    try:
        return (values["path"], int(values["frame_index"]), int(values["detection_index"])), ""
    except (TypeError, ValueError):
        return None, "frame_index and detection_index must be whole numbers"


def _log_rows(tables: RunTables, wanted: set[Key]) -> dict[Key, dict[str, Any]]:
    """Rows of the log by key, with `path` and `camera_id` of their media added."""
    media = tables.media.select(["path", "media_id", "camera_id"]).to_pylist()
    places = defaultdict(list)
    for row in media:
        if row["media_id"] is not None:
            places[row["media_id"]].append((row["path"], row["camera_id"]))
    frames = {(key[1], key[2]) for key in wanted}
    found = {}
    indices = tables.detections["frame_index"].to_numpy(), tables.detections["detection_index"]
    near = np.flatnonzero([pair in frames for pair in zip(*map(_plain, indices), strict=True)])
    for row in tables.detections.take(pa.array(near)).to_pylist():
        for path, camera_id in places[row["media_id"]]:
            key = (path, row["frame_index"], row["detection_index"])
            if key in wanted:
                found[key] = {**row, "path": path, "camera_id": camera_id}
    return found


def _plain(column: Any) -> list[int]:
    return list(column.tolist() if isinstance(column, np.ndarray) else column.to_pylist())


def _frames(
    reviews: Sequence[Review],
    tables: RunTables,
    problems: list[Problem],
    progress: Progress | None,
) -> Iterator[tuple[Review, ImageArray]]:
    """Reviews with their frames, uint8 RGB (height, width, 3); each file is decoded once."""
    places, done = Places(tables), 0
    by_media: dict[str, dict[int, list[Review]]] = defaultdict(lambda: defaultdict(list))
    for review in reviews:
        by_media[review.row["media_id"]][review.row["frame_index"]].append(review)
    for media_id, frames in by_media.items():
        path, changed = places.find(media_id)
        why = "another file is at its place" if changed else "the footage is gone"
        if path is not None:
            why = "the frame could not be decoded again"
            for index, rgb in grab_frames(path, frames):
                for review in frames.pop(index, []):
                    yield review, rgb
                    done += 1
                    if progress is not None:
                        progress(done, len(reviews))
        for listed in frames.values():
            problems += [Problem(r.file, r.line, f"{r.key[0]}: {why}; left out") for r in listed]


def _cut(review: Review, rgb: ImageArray, meta: FitMeta) -> tuple[dict[str, Any], ImageArray]:
    row, label = review.row, review.label
    spec = colour_spec(meta)
    xyxy = np.array([review.xyxy], np.float32)
    square = square_crop(xyxy, spec.padding, spec.min_side)[0]
    text = json.dumps([row["path"], row["frame_index"], review.xyxy])
    crop_id = hashlib.sha256(text.encode()).hexdigest()[:16]
    kind = "target" if label in meta.targets else "false_alarm" if label == OTHER else "confuser"
    return {
        "crop_id": crop_id,
        "file": f"images/{TRAIN}/{label}/{crop_id}.png",
        "source": row["path"],
        "group": row["camera_id"] or row["path"],
        "frame_index": row["frame_index"],
        "time_s": row["time_s"],
        **{name: row[name] for name in BOX},
        "detector_score": row["detector_score"],
        "iou": None,
        "truth_class": label if kind == "target" else None,
        "kind": kind,
        "label": label,
        "split": TRAIN,
        "side_px": int(square[2] - square[0]),
        "dhash": None,
        "cluster": None,
    }, cut_crops(rgb, xyxy, spec)[0]


def colour_spec(meta: FitMeta) -> ClassifierSpec:
    """The crop rule before greying: data sets keep colour."""
    return replace(meta.crop_spec(), grey=False)
