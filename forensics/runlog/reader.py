"""Read a run folder. The list of part files comes from the ledger, never from a folder listing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from forensics.errors import RunLogError
from forensics.runlog import schemas
from forensics.runlog.ledger import SUMS_NAME, Ledger, SegmentRow
from forensics.runlog.manifest import read_manifest
from forensics.runlog.parts import PartTable, coded_schema, read_table
from forensics.runlog.writer import DETECTIONS_FOLDER, FRAMES_FOLDER
from forensics.types import OperatingPoint

__all__ = ["RunTables", "open_run", "read_table"]


@dataclass(frozen=True)
class RunTables:
    """The tables of one run, columns as in `schemas`; repeating text is dictionary-encoded.

    `frames` and `detections` stay on disk until their columns are asked for (`PartTable`); they
    may be Arrow tables as well. They are ordered by media (in the order of `media`), then frame
    index, then detection index. `media` has one row per input file; a file whose content equals an
    earlier one has the same `media_id` and its frames appear once.
    """

    folder: Path
    manifest: dict[str, Any]
    media: pa.Table
    coverage: pa.Table
    frames: PartTable | pa.Table
    detections: PartTable | pa.Table

    @property
    def operating_point(self) -> OperatingPoint:
        """The pair of thresholds that the scan ran with."""
        thresholds = self.manifest["thresholds"]
        return OperatingPoint(thresholds["detector"], thresholds["classifier"])

    @property
    def classifier_classes(self) -> tuple[str, ...]:
        """Class names in the order of `probabilities`."""
        return schemas.classifier_classes(self.detections.schema)


def open_run(folder: Path | str) -> RunTables:
    """Open a run folder. Raises RunLogError when it, or later a part of it, is not as written."""
    folder = Path(folder)
    manifest = read_manifest(folder)
    ledger = Ledger(folder)
    try:
        rows = ledger.segments()
    finally:
        ledger.close()
    media = read_table(folder / "media.parquet")
    rows = _in_media_order(folder, rows, media)
    detections = schemas.detections_schema(manifest["cascade"]["classifier_classes"])
    return RunTables(
        folder=folder,
        manifest=manifest,
        media=media,
        coverage=read_table(folder / "coverage.parquet"),
        frames=_parts(folder / FRAMES_FOLDER, rows, "n_frames", schemas.FRAMES),
        detections=_parts(folder / DETECTIONS_FOLDER, rows, "n_detections", detections),
    )


def looked_at(frames: Any) -> Any:
    """The rows of a frames table or batch that were processed, or should have been.

    All but static ones.
    """
    static = pc.equal(frames["status"], schemas.STATIC_FRAME)
    return frames.filter(pc.invert(static)) if pc.any(static).as_py() else frames


def _in_media_order(folder: Path, rows: list[SegmentRow], media: pa.Table) -> list[SegmentRow]:
    """Segments in the order of their media. Raises RunLogError where one is of no known medium."""
    order: dict[str | None, int] = {}
    for number, media_id in enumerate(media["media_id"].to_pylist()):
        order.setdefault(media_id, number)
    if strangers := sum(row.first_media_id not in order for row in rows):
        raise RunLogError(
            f"{folder}: {strangers} committed segments are of footage that media.parquet does not "
            f"name; {_why_unknown(folder)}"
        )
    return sorted(rows, key=lambda row: (order[row.first_media_id], row.segment))


def _why_unknown(folder: Path) -> str:
    if (folder / SUMS_NAME).exists():
        return "the run was changed after the scan; run `verify`"
    return "the scan was cut off before its end: run the same `scan` command again, which goes on"


def _parts(folder: Path, rows: list[SegmentRow], count: str, schema: pa.Schema) -> PartTable:
    paths = tuple(folder / row.part for row in rows)
    for path in paths:
        if not path.is_file():
            raise RunLogError(f"{path} is missing or damaged (no such file); run `verify`")
    return PartTable(paths, tuple(getattr(row, count) for row in rows), coded_schema(schema))
