"""Read a crop data set: its table and the rule by which its crops were cut."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forensics.errors import TrainingError

SCHEMA = 1
BOX = ("x_min", "y_min", "x_max", "y_max")
NEEDED = {"crop_id", "file", "label", "split", "group", "side_px", "source", "frame_index", *BOX}


@dataclass(frozen=True, slots=True)
class CropRule:
    """How crops were cut: a square of `padding` x the longer side, scaled to `imgsz`."""

    imgsz: int
    padding: float
    min_side: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def words(self) -> str:
        return f"{self.imgsz} px, padding {self.padding:g}, at least {self.min_side} px"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something left out, and why: `line` counts from 1."""

    file: str
    line: int
    what: str


@dataclass(frozen=True, slots=True)
class CropTable:
    """One data set: `name` is the path of its table, `sha256` that of crops.json."""

    name: str
    rule: CropRule
    rows: tuple[dict[str, Any], ...]
    sha256: str


def read_crop_table(folder: Path) -> CropTable:
    """Read crops.json and crops.parquet. Raises TrainingError."""
    path, table_path = folder / "crops.json", folder / "crops.parquet"
    try:
        raw = path.read_bytes()
        values = json.loads(raw)
        found = _rule(values)
        table = pq.ParquetFile(table_path).read()
    except OSError as error:
        raise TrainingError(
            f"{folder} is no crop data set ({error}); make one with `forensics mine`"
        ) from error
    except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise TrainingError(
            f"{folder}: crops.json or crops.parquet is damaged ({error}); mine again"
        ) from error
    if missing := NEEDED - set(table.column_names):
        raise TrainingError(f"{table_path} lacks the columns {sorted(missing)}; mine again")
    return CropTable(
        str(table_path), found, tuple(table.to_pylist()), hashlib.sha256(raw).hexdigest()
    )


def _rule(values: dict[str, Any]) -> CropRule:
    rule = values["rule"]
    return CropRule(int(rule["imgsz"]), float(rule["padding"]), int(rule["min_side"]))
