"""The tables that are derived from the ledger when a scan stops: media, coverage, check sums."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from forensics.runlog import schemas
from forensics.runlog.ledger import Ledger
from forensics.runlog.verify import SUMS_NAME
from forensics.runlog.writer import write_bytes, write_table
from forensics.scan.rows import coverage_row, media_row
from forensics.types import CoverageState, InputFile, Status

UNFINISHED = "the scan has not come to its end; run the same command again to go on"


def write_tables(
    folder: Path, ledger: Ledger, inputs: Sequence[InputFile]
) -> list[dict[str, Any]]:
    """Write media.parquet and coverage.parquet; return the media rows, one per input file."""
    rows, coverage = media_rows(ledger, inputs)
    media = pa.Table.from_pylist([_arrow_row(row) for row in rows], schema=schemas.MEDIA)
    write_table(media, folder / "media.parquet")
    table = pa.Table.from_pylist(coverage, schema=schemas.COVERAGE)
    write_table(table, folder / "coverage.parquet")
    return rows


def media_rows(
    ledger: Ledger, inputs: Sequence[InputFile]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Media rows in input order, and coverage rows by file and frame."""
    ended, hashes = ledger.media(), ledger.hashes()
    by_source: dict[str, list[dict[str, Any]]] = {}
    for segment in ledger.segments():
        for row in segment.coverage:
            by_source.setdefault(row["media_id"], []).append(row)
    rows, coverage = [], []
    for file in inputs:
        media_id = hashes.get((file.relative, file.size_bytes, file.mtime_ns))
        row = ended[file.relative][1] if file.relative in ended else _unfinished(file, media_id)
        row = _resolved(row, ended)
        covered = [] if row.pop("duplicate_of", None) else by_source.get(row["media_id"], [])
        coverage += covered
        coverage += row.pop("_coverage", []) or _not_reached(row, covered)
        rows.append(row)
    return rows, coverage


def _unfinished(file: InputFile, media_id: str | None) -> dict[str, Any]:
    return media_row(file, media_id, status=str(Status.PARTIAL), reason=UNFINISHED)


def _not_reached(row: dict[str, Any], covered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if row["reason"] != UNFINISHED:
        return []
    start = max((c["stop_frame"] or 0 for c in covered), default=0)
    state = CoverageState.NOT_REACHED
    return [
        coverage_row(
            row["media_id"], row["path"], None, state, n_frames=None, frames=(start, None),
            reason=UNFINISHED,
        )
    ]


def _resolved(row: dict[str, Any], ended: dict[str, tuple[bool, dict[str, Any]]]) -> dict[str, Any]:
    """Give a duplicate the facts of the file that was scanned in its place."""
    original = row.get("duplicate_of")
    if not original or original not in ended:
        return dict(row)
    kept = {k: row[k] for k in ("path", "path_bytes", "camera_id", "duplicate_of")}
    reason = f"same content as {original}, which was scanned in its place"
    if said := ended[original][1]["reason"]:
        reason = f"{reason}; {said}"
    return {**ended[original][1], **kept, "_coverage": [], "reason": reason}


def _arrow_row(row: dict[str, Any]) -> dict[str, Any]:
    raw = row["path_bytes"]
    return {**row, "path_bytes": None if raw is None else bytes.fromhex(raw)}


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS over every file of the run, in the form that `sha256sum -c` reads."""
    lines = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.name.startswith(".") and name != SUMS_NAME:
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n")
    write_bytes("".join(lines).encode(), folder / SUMS_NAME)
