"""A crop data set: pictures sorted by split and label, their table, and how they came about.

    CROPS/crops.json                        the rule, counts, sources
    CROPS/crops.parquet                     one row per crop, columns as in `SCHEMA`
    CROPS/problems.csv                      what was left out: file, line, what
    CROPS/images/<split>/<label>/<id>.png   RGB, as the cascade cuts crops (before any greying)
    CROPS/unlabelled/<split>/<id>.png       crops that are recorded and not trained on
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa

from forensics.backends import Normalisation
from forensics.cascade.definition import ClassifierSpec
from forensics.errors import RunLogError, TrainingError
from forensics.runlog.reader import read_table
from forensics.runlog.writer import table_bytes, write_bytes, write_json
from forensics.truth.base import Problem
from forensics.types import ImageArray

SCHEMA_VERSION = 1
BOX = ("x_min", "y_min", "x_max", "y_max")
MANIFEST, TABLE, PROBLEMS = "crops.json", "crops.parquet", "problems.csv"
SCHEMA = pa.schema(
    [
        ("crop_id", pa.string()),  # 16 hexadecimal digits of the SHA-256 of source, frame and box
        ("file", pa.string()),  # path of the picture in the folder
        ("source", pa.string()),  # path of the footage as its run lists it
        ("group", pa.string()),  # camera or file: the unit of the split
        ("frame_index", pa.int64()),
        ("time_s", pa.float64()),  # null for stills
        ("x_min", pa.float32()),
        ("y_min", pa.float32()),
        ("x_max", pa.float32()),
        ("y_max", pa.float32()),
        ("detector_score", pa.float32()),  # null: cut from a truth box
        ("iou", pa.float32()),  # best with a truth box of a target
        ("truth_class", pa.string()),
        ("kind", pa.string()),  # target | false_alarm | near_miss | confuser
        ("label", pa.string()),  # class to train; "" = not trained on
        ("split", pa.string()),  # train | val
        ("side_px", pa.int32()),  # side of the square in the footage
        ("dhash", pa.string()),  # difference hash, 64 hexadecimal digits
        ("cluster", pa.int32()),  # null until grouped; -1 = in no cluster
        ("sha256", pa.string()),  # of the picture's file
    ]
)
_LINE = re.compile(r"(.+?):(\d+| .+)")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .+-]{0,63}")


@dataclass(frozen=True, slots=True)
class CropRule:
    """A crop is a square of `padding` x the longer side of its box, at least `min_side` source
    pixels, scaled to `imgsz`."""

    imgsz: int = 224
    padding: float = 1.4
    min_side: int = 24

    def spec(self) -> ClassifierSpec:
        """What `cut_crops` needs; it names no model."""
        return ClassifierSpec(
            files={},
            imgsz=self.imgsz,
            classes=(),
            targets=(),
            padding=self.padding,
            min_side=self.min_side,
            grey=False,
            normalisation=Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def words(self) -> str:
        return f"{self.padding:g} x the longer side, at least {self.min_side} px, at {self.imgsz}"


@dataclass(frozen=True, eq=False)
class CropSet:
    """A crop data set on disk: `table` as `SCHEMA`, only rows whose picture is sound.

    `problems`: crops that were left out on opening, and why. `sha256` of crops.json, which names
    the table by its hash and so the whole.
    """

    folder: Path
    manifest: dict[str, Any]
    table: pa.Table
    problems: tuple[Problem, ...]
    sha256: str

    @property
    def rule(self) -> CropRule:
        return CropRule(**self.manifest["rule"])

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(self.manifest["targets"])

    def frame(self) -> pd.DataFrame:
        """The table for pandas."""
        return self.table.to_pandas()

    def counts(self) -> dict[str, dict[str, int]]:
        """Split -> label -> crops; "" counts those without a label."""
        return count_labels(self.table)

    def pictures(self, rows: Sequence[int]) -> ImageArray:
        """Pictures of the given rows: uint8 RGB (n, imgsz, imgsz, 3). Raises TrainingError."""
        files = self.table["file"].take(pa.array(rows, pa.int64())).to_pylist()
        imgsz = self.rule.imgsz
        found = np.empty((len(files), imgsz, imgsz, 3), np.uint8)
        for place, name in enumerate(files):
            rgb = decode_picture((self.folder / name).read_bytes())
            if rgb is None or rgb.shape != found.shape[1:]:
                raise TrainingError(f"{self.folder / name} is damaged; run `forensics mine` again")
            found[place] = rgb
        return found


def open_crops(folder: Path | str) -> CropSet:
    """Open a crop data set and check every picture; raises TrainingError when none is sound.

    Pictures that are missing, or not the ones that were cut, are left out and listed.
    """
    folder = Path(folder)
    manifest, table, sha256 = _read(folder)
    sound, problems = [], []
    for place, (name, expected) in enumerate(
        zip(table["file"].to_pylist(), table["sha256"].to_pylist(), strict=True)
    ):
        fault = _fault(folder / name, expected)
        if fault:
            problems.append(Problem(f"{TABLE}:{place + 1}", f"{name}: {fault}; left out"))
        else:
            sound.append(place)
    if not sound:
        raise TrainingError(f"{folder} has no sound crop ({len(problems)} at fault); mine again")
    kept = table.take(pa.array(sound, pa.int64()))
    return CropSet(folder, manifest, kept, tuple(problems), sha256)


def _read(folder: Path) -> tuple[dict[str, Any], pa.Table, str]:
    try:
        raw = (folder / MANIFEST).read_bytes()
        manifest: dict[str, Any] = json.loads(raw)
        version, hashes = manifest["schema"], manifest["table_sha256"]
        CropRule(**manifest["rule"])
    except FileNotFoundError as error:
        raise TrainingError(f"{folder} has no {MANIFEST}; make it with `forensics mine`") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{folder / MANIFEST} is damaged ({error}); mine again") from error
    if version != SCHEMA_VERSION:
        raise TrainingError(f"{folder} has schema {version}; this version reads {SCHEMA_VERSION}")
    try:
        table = read_table(folder / TABLE)
        written = hashlib.sha256((folder / TABLE).read_bytes()).hexdigest()
    except (RunLogError, OSError) as error:
        raise TrainingError(f"{folder / TABLE} is missing or damaged; mine again") from error
    if written not in hashes or not table.schema.equals(SCHEMA):
        raise TrainingError(f"{folder / TABLE} is not the table of {MANIFEST}; mine again")
    return manifest, table, hashlib.sha256(raw).hexdigest()


def _fault(path: Path, sha256: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if hashlib.sha256(data).hexdigest() == sha256 else "is not the picture that was cut"


def write_crops(folder: Path, manifest: dict[str, Any], table: pa.Table) -> None:
    """Write table and manifest so that a kill between them leaves a data set that opens.

    The manifest first accepts both the old and the new table, then only the new one.
    """
    data = table_bytes(table)
    new = hashlib.sha256(data).hexdigest()
    old = hashlib.sha256((folder / TABLE).read_bytes()).hexdigest() if _has_table(folder) else new
    filled = manifest | {"counts": count_labels(table)}
    if old != new:
        write_json(filled | {"table_sha256": [old, new]}, folder / MANIFEST)
    write_bytes(data, folder / TABLE)
    write_json(filled | {"table_sha256": [new]}, folder / MANIFEST)


def _has_table(folder: Path) -> bool:
    return (folder / TABLE).is_file()


def count_labels(table: pa.Table) -> dict[str, dict[str, int]]:
    """Split -> label -> crops, in the order of the alphabet."""
    pairs = zip(table["split"].to_pylist(), table["label"].to_pylist(), strict=True)
    found: dict[str, dict[str, int]] = {}
    for (split, label), count in sorted(Counter(pairs).items()):
        found.setdefault(split, {})[label] = count
    return found


def crop_id(source: str, frame_index: int, xyxy: Sequence[float]) -> str:
    """What a crop is called: 16 hexadecimal digits that say which box on which frame it shows."""
    text = "|".join([source, str(frame_index), *map(repr, xyxy)])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def picture_path(crop_id: str, split: str, label: str) -> str:
    """Where a crop's picture stands in the folder."""
    if not label:
        return f"unlabelled/{split}/{crop_id}.png"
    return f"images/{split}/{check_label(label)}/{crop_id}.png"


def check_label(name: str) -> str:
    """A class name that can name a folder. Raises TrainingError."""
    if not _NAME.fullmatch(name) or name in {".", ".."}:
        raise TrainingError(
            f"class {name!r} cannot name a folder; use letters, digits, space, _ . + or -, with "
            "--class-map OLD=NEW"
        )
    return name


def encode_picture(rgb: ImageArray) -> bytes:
    """PNG of uint8 RGB (h, w, 3); the same bytes for the same picture."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 4])[1])


def decode_picture(data: bytes) -> ImageArray | None:
    """uint8 RGB (h, w, 3) of a PNG; None when it is none."""
    if not data:
        return None
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def write_problems(problems: Iterable[Problem], path: Path) -> None:
    """Write file, line (or entry), what; `where` is file:line, file: entry, or a file alone."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("file", "line", "what"))
    for problem in problems:
        place = _LINE.fullmatch(problem.where)
        file, line = (place[1], place[2].strip()) if place else (problem.where, "")
        rows.writerow((file, line, problem.what))
    write_bytes(text.getvalue().encode("utf-8", "backslashreplace"), path)
