"""Crops of detections that a person looked at: the reviewer's say on rows of a run's log.

The labels file is a CSV with the columns path, frame_index, detection_index and label (others are
ignored; an empty label says nothing). The crops become a small data set beside the new network,
all of it for training: the validation crops of the old one stay as they are.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from forensics.boxes import square_crop
from forensics.cascade.crops import cut_crops
from forensics.errors import TrainingError
from forensics.footage.grab import grab_frames
from forensics.runlog.places import Places
from forensics.runlog.reader import RunTables
from forensics.runlog.writer import write_bytes
from forensics.training.candidates import OTHER
from forensics.training.classifier_model import FitMeta
from forensics.training.crops import (
    BOX,
    PROBLEMS,
    SCHEMA,
    SCHEMA_VERSION,
    crop_id,
    encode_picture,
    picture_path,
    write_crops,
    write_problems,
)
from forensics.training.neighbours import difference_hash, to_hex
from forensics.training.splits import TRAIN
from forensics.truth.base import Problem
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
            problems.append(Problem(f"{path}:{line}", what))
        else:
            told.setdefault(key, (label, line))
    rows = _log_rows(tables, set(told))
    for key, (_, line) in told.items():
        if key not in rows:
            where = f"{key[0]} frame {key[1]} detection {key[2]}"
            problems.append(Problem(f"{path}:{line}", f"{where} is not in the run"))
    known = [Review(str(path), key, *said, rows[key]) for key, said in told.items() if key in rows]
    return known, problems


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
        row, data = _cut(review, rgb, meta)
        write_bytes(data, out / row["file"])
        rows.append(row)
    write_problems(faults, out / PROBLEMS)
    if not rows:
        first = f"; the first fault: {faults[0].where}: {faults[0].what}" if faults else ""
        raise TrainingError(f"no reviewed detection can be used{first}")
    cascade = tables.manifest["cascade"]
    manifest = {
        "schema": SCHEMA_VERSION,
        "rule": meta.crop_rule.to_json(),
        "targets": list(meta.targets),
        "cascade": {"name": cascade["name"], "version": cascade["version"]},
        "run": tables.manifest["id"],
    }
    write_crops(out, manifest, pa.Table.from_pylist(rows, schema=SCHEMA))
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
            for r in listed:
                problems.append(Problem(f"{r.file}:{r.line}", f"{r.key[0]}: {why}; left out"))


def _cut(review: Review, rgb: ImageArray, meta: FitMeta) -> tuple[dict[str, Any], bytes]:
    """The row of a crop and its picture."""
    row, label, rule = review.row, review.label, meta.crop_rule
    xyxy = np.array([review.xyxy], np.float32)
    square = square_crop(xyxy, rule.padding, rule.min_side)[0]
    crop = cut_crops(rgb, xyxy, rule.spec())[0]
    data = encode_picture(crop)
    name = crop_id(row["path"], row["frame_index"], review.xyxy)
    kind = "target" if label in meta.targets else "false_alarm" if label == OTHER else "confuser"
    return {
        "crop_id": name,
        "file": picture_path(name, TRAIN, label),
        "source": row["path"],
        "group": row["camera_id"] or row["path"],
        "frame_index": row["frame_index"],
        "time_s": row["time_s"],
        **{side: row[side] for side in BOX},
        "detector_score": row["detector_score"],
        "kind": kind,
        "label": label,
        "split": TRAIN,
        "side_px": int(square[2] - square[0]),
        "dhash": to_hex(difference_hash(crop)[None])[0],
        "sha256": hashlib.sha256(data).hexdigest(),
    }, data
