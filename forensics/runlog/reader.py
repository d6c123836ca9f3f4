"""Read a run folder. The list of part files comes from the ledger, never from a folder listing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forensics.errors import RunLogError
from forensics.runlog import schemas
from forensics.runlog.ledger import Ledger, SegmentRow
from forensics.runlog.manifest import read_manifest
from forensics.runlog.writer import DETECTIONS_FOLDER, FRAMES_FOLDER
from forensics.types import OperatingPoint

REPEATING = ["media_id", "detector_class", "classifier_class", "status", "decided_by"]


@dataclass(frozen=True)
class RunTables:
    """The tables of one run, columns as in `schemas`; `media_id` columns are dictionary-encoded.

    `frames` and `detections` are ordered by media (in the order of `media`), then frame index,
    then detection index. `media` has one row per input file; a file whose content equals an
    earlier one has the same `media_id` and its frames appear once.
    """

    folder: Path
    manifest: dict[str, Any]
    media: pa.Table
    coverage: pa.Table
    frames: pa.Table
    detections: pa.Table

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
    """Open a run folder. Raises RunLogError when anything in it cannot be read as written."""
    folder = Path(folder)
    manifest = read_manifest(folder)
    ledger = Ledger(folder)
    try:
        rows = ledger.segments()
    finally:
        ledger.close()
    media = read_table(folder / "media.parquet")
    parts = _in_media_order(rows, media)
    classes = manifest["cascade"]["classifier_classes"]
    return RunTables(
        folder=folder,
        manifest=manifest,
        media=media,
        coverage=read_table(folder / "coverage.parquet"),
        frames=_concat(folder / FRAMES_FOLDER, parts, schemas.FRAMES),
        detections=_concat(folder / DETECTIONS_FOLDER, parts, schemas.detections_schema(classes)),
    )


def looked_at(frames: pa.Table) -> pa.Table:
    """The rows of a frames table that were processed, or should have been: all but static ones."""
    static = pc.equal(frames["status"], schemas.STATIC_FRAME)
    return frames.filter(pc.invert(static)) if pc.any(static).as_py() else frames


def read_table(path: Path) -> pa.Table:
    """Read one Parquet file, checking page checksums. Raises RunLogError."""
    try:
        return pq.ParquetFile(path, page_checksum_verification=True).read()
    except (OSError, pa.ArrowException) as error:
        text = str(error).splitlines()[0]
        raise RunLogError(f"{path} is missing or damaged ({text}); run `verify`") from error


def _in_media_order(rows: list[SegmentRow], media: pa.Table) -> list[str]:
    order: dict[str | None, int] = {}
    for number, media_id in enumerate(media["media_id"].to_pylist()):
        order.setdefault(media_id, number)
    known = [row for row in rows if row.first_media_id in order]
    return [r.part for r in sorted(known, key=lambda r: (order[r.first_media_id], r.segment))]


def _concat(folder: Path, parts: list[str], schema: pa.Schema) -> pa.Table:
    tables = [read_table(folder / part) for part in parts]
    if not tables:
        return _encoded(schema.empty_table())
    return pa.concat_tables([_encoded(table) for table in tables]).unify_dictionaries()


def _encoded(table: pa.Table) -> pa.Table:
    """Dictionary-encode the repeating columns, so that every part has the same types."""
    wanted = pa.dictionary(pa.int32(), pa.string())
    for name in REPEATING:
        number = table.schema.get_field_index(name)
        if number >= 0 and table.schema.field(number).type != wanted:
            table = table.set_column(number, name, table[name].cast(wanted))
    return table
