"""`forensics group`: number the clusters of false alarms, name them, show them on one page."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forensics.errors import TrainingError
from forensics.runlog.writer import write_bytes
from forensics.training.candidates import OTHER
from forensics.training.crops import (
    SCHEMA,
    CropSet,
    check_label,
    open_crops,
    picture_path,
    write_crops,
)

CLUSTERS, PAGE = "clusters.csv", "clusters.html"
LEFT_OUT = "-"  # a name that takes a cluster out of training


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster: rows of the table by falling detector score, and what they are trained as."""

    number: int
    rows: tuple[int, ...]
    name: str
    sources: int
    lowest: float | None
    highest: float | None


def false_alarms(crops: CropSet) -> list[int]:
    """Rows of the false alarms. Raises TrainingError when there are none."""
    rows = [n for n, kind in enumerate(crops.table["kind"].to_pylist()) if kind == "false_alarm"]
    if not rows:
        raise TrainingError(f"{crops.folder} holds no false alarm; there is nothing to group")
    return rows


def set_clusters(
    crops: CropSet, rows: list[int], numbers: np.ndarray[Any, Any], how: str
) -> CropSet:
    """Write the numbers int (n,) of the given rows into the table, and open it again."""
    column: list[int | None] = [None] * crops.table.num_rows
    for row, number in zip(rows, numbers.tolist(), strict=True):
        column[row] = number
    table = crops.table.set_column(
        SCHEMA.get_field_index("cluster"), "cluster", pa.array(column, pa.int32())
    )
    write_crops(crops.folder, crops.manifest | {"grouped": how}, table)
    return open_crops(crops.folder)


def name_clusters(crops: CropSet, names: Mapping[int, str]) -> CropSet:
    """Give the false alarms of clusters another class, and their pictures its folder.

    An empty name or "-" takes a cluster out of training; "other" takes a name back. Pictures are
    linked to their new place first and removed from the old one last, so that the table is right
    at every moment. Raises TrainingError on unknown clusters and names that cannot be.
    """
    known = {cluster.number for cluster in clusters_of(crops)}
    if not known:
        raise TrainingError(f"{crops.folder} is not grouped yet; run `forensics group` first")
    for number, name in names.items():
        if number not in known:
            raise TrainingError(f"there is no cluster {number}; the last is {max(known)}")
        if name in crops.targets:
            raise TrainingError(
                f"cluster {number} cannot be called {name}: a target needs a truth box; correct "
                f"the truth and mine again, or take the cluster out with {number}={LEFT_OUT}"
            )
        if name not in {"", LEFT_OUT}:
            check_label(name)
    rows = crops.table.to_pylist()
    gone = []
    for row in rows:
        if row["kind"] != "false_alarm" or row["cluster"] not in names:
            continue
        name = names[row["cluster"]]
        label = "" if name == LEFT_OUT else name
        place = picture_path(row["crop_id"], row["split"], label)
        if place != row["file"]:
            _link(crops.folder / row["file"], crops.folder / place)
            gone.append(row["file"])
        row |= {"label": label, "file": place}
    write_crops(crops.folder, crops.manifest, pa.Table.from_pylist(rows, schema=SCHEMA))
    _remove(crops.folder, gone)
    return open_crops(crops.folder)


def _link(old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    new.unlink(missing_ok=True)
    try:
        os.link(old, new)
    except OSError:  # a file system without hard links
        shutil.copyfile(old, new)


def _remove(folder: Path, files: list[str]) -> None:
    for name in files:
        (folder / name).unlink(missing_ok=True)
        parent = (folder / name).parent
        if not any(parent.iterdir()):
            parent.rmdir()


def clusters_of(crops: CropSet) -> tuple[Cluster, ...]:
    """The clusters, largest first; the crops in none come last as number -1."""
    table = crops.table.select(["kind", "cluster", "label", "source", "detector_score"])
    frame: pd.DataFrame = table.to_pandas()
    frame = frame[(frame["kind"] == "false_alarm") & frame["cluster"].notna()]
    found = [_describe(int(number), part) for number, part in frame.groupby("cluster")]
    return tuple(sorted(found, key=lambda c: (c.number < 0, -len(c.rows), c.number)))


def _describe(number: int, part: pd.DataFrame) -> Cluster:
    part = part.sort_values("detector_score", ascending=False, kind="stable")
    labels = part["label"].value_counts()
    scores = part["detector_score"].dropna()
    return Cluster(
        number=number,
        rows=tuple(int(row) for row in part.index),
        name=str(labels.index[0]) or LEFT_OUT,
        sources=int(part["source"].nunique()),
        lowest=float(scores.min()) if len(scores) else None,
        highest=float(scores.max()) if len(scores) else None,
    )


def write_names(clusters: tuple[Cluster, ...], path: Path) -> None:
    """Write cluster,count,name: a file to fill in and give back with --names."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("cluster", "count", "name"))
    rows.writerows(
        (c.number, len(c.rows), "" if c.name == OTHER else c.name) for c in clusters
    )
    write_bytes(text.getvalue().encode(), path)


def read_names(path: Path) -> dict[int, str]:
    """Names by cluster; an empty name stands for `other`. Raises TrainingError with the line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"cannot read {path}: {error}; correct --names") from error
    rows = csv.DictReader(io.StringIO(text))
    if not {"cluster", "name"} <= set(rows.fieldnames or ()):
        raise TrainingError(f"{path}:1: needs the columns cluster and name")
    names: dict[int, str] = {}
    for row in rows:
        try:
            names[int(row["cluster"])] = (row["name"] or "").strip() or OTHER
        except ValueError as error:
            raise TrainingError(
                f"{path}:{rows.line_num}: {row['cluster']!r} is no cluster's number"
            ) from error
    return names
