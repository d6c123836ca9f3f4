"""Commit a segment: part files under temporary names, synced, renamed, then one ledger row.

A part's name and bytes depend only on footage and settings, so redoing an interrupted segment
overwrites it with itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forensics.errors import RunLogError
from forensics.runlog.ledger import Ledger, SegmentRow

FRAMES_FOLDER = "frames"
DETECTIONS_FOLDER = "detections"


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """Which segment: the source's id, its number, and the medium that its rows begin with."""

    source_id: str
    segment: int
    first_media_id: str


def commit_segment(
    folder: Path,
    ledger: Ledger,
    key: SegmentKey,
    *,
    frames: pa.Table,
    detections: pa.Table,
    coverage: list[dict[str, Any]],
    files: Sequence[dict[str, Any]] = (),
) -> None:
    """Write both parts of a segment durably, then its ledger row. Raises RunLogError.

    `files` are media rows of files that end with this segment.
    """
    part = f"{key.source_id[:32]}-{key.segment:06d}.parquet"
    ledger.put_segment(
        SegmentRow(
            source_id=key.source_id,
            segment=key.segment,
            first_media_id=key.first_media_id,
            part=part,
            frames_sha256=write_table(frames, folder / FRAMES_FOLDER / part),
            detections_sha256=write_table(detections, folder / DETECTIONS_FOLDER / part),
            n_frames=frames.num_rows,
            n_detections=detections.num_rows,
            coverage=coverage,
        ),
        files,
    )


def write_table(table: pa.Table, path: Path) -> str:
    """Write a Parquet file durably, with page checksums; return its SHA-256."""
    return write_bytes(table_bytes(table), path)


def table_bytes(table: pa.Table) -> bytes:
    """A Parquet file; the same bytes for the same table."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=_repeating(table.schema),
        store_schema=True,
    )
    return bytes(sink.getvalue().to_pybytes())


def write_json(value: Any, path: Path) -> str:
    """Write JSON durably, readable; return its SHA-256."""
    text = json.dumps(value, indent=1, sort_keys=False, ensure_ascii=True, allow_nan=False)
    return write_bytes(text.encode() + b"\n", path)


def write_bytes(data: bytes, path: Path) -> str:
    """Replace `path` atomically and durably; return the SHA-256. Raises RunLogError."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise RunLogError(
            f"cannot write {path}: {error.strerror}; mend that, then run the same command again: "
            "what is committed is kept"
        ) from error
    return hashlib.sha256(data).hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _repeating(schema: pa.Schema) -> Sequence[str]:
    """Only text columns repeat; a dictionary of times or scores costs more than it saves."""
    return [field.name for field in schema if pa.types.is_string(field.type)]
