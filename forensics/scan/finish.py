"""The tables that are derived from the ledger when a scan stops: media, coverage, check sums."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from forensics.runlog import schemas
from forensics.runlog.ledger import Ledger
from forensics.runlog.verify import SUMS_NAME
from forensics.runlog.writer import DETECTIONS_FOLDER, FRAMES_FOLDER, write_bytes, write_table
from forensics.scan.rows import coverage_row, media_row
from forensics.types import CoverageState, InputFile, Status

PART_NAME = re.compile(r"[0-9a-f]{32}-[0-9]{6}\.parquet")
UNFINISHED = "the scan has not come to its end; run the same command again to go on"
GONE = "no longer among the files offered when the scan went on; it had not come to its end"


def planned_rows(inputs: Sequence[InputFile]) -> list[dict[str, Any]]:
    """The media row of each file before anything is known of it."""
    return [media_row(f, None, status=str(Status.PARTIAL), reason=UNFINISHED) for f in inputs]


def write_tables(
    folder: Path, ledger: Ledger, inputs: Sequence[InputFile]
) -> list[dict[str, Any]]:
    """Write media.parquet and coverage.parquet; return the media rows, one per file."""
    rows, coverage = media_rows(ledger, inputs)
    media = pa.Table.from_pylist([_arrow_row(row) for row in rows], schema=schemas.MEDIA)
    write_table(media, folder / "media.parquet")
    table = pa.Table.from_pylist(coverage, schema=schemas.COVERAGE)
    write_table(table, folder / "coverage.parquet")
    return rows


def media_rows(
    ledger: Ledger, inputs: Sequence[InputFile]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Media rows and coverage rows: inputs in order, then files that are gone since."""
    known, hashes = ledger.media(), ledger.hashes()
    by_source: dict[str, list[dict[str, Any]]] = {}
    for segment in ledger.segments():
        for row in segment.coverage:
            by_source.setdefault(row["media_id"], []).append(row)
    offered = [file.relative for file in inputs]
    gone = sorted(set(known) - set(offered))
    rows, coverage = [], []
    for path in [*offered, *gone]:
        row = _resolved(known[path][1], known)
        if row["media_id"] is None and path in hashes:
            row["media_id"] = hashes[path].sha256
        if row["reason"] == UNFINISHED and path in gone:
            row["reason"] = GONE
        covered = [] if row.pop("duplicate_of", None) else by_source.get(row["media_id"], [])
        coverage += covered
        coverage += row.pop("_coverage", []) or _not_reached(row, covered)
        rows.append(row)
    return rows, coverage


def _not_reached(row: dict[str, Any], covered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if row["reason"] not in {UNFINISHED, GONE}:
        return []
    start = max((c["stop_frame"] or 0 for c in covered), default=0)
    return [
        coverage_row(
            row["media_id"],
            row["path"],
            None,
            CoverageState.NOT_REACHED,
            n_frames=None,
            frames=(start, None),
            reason=row["reason"],
        )
    ]


def _resolved(row: dict[str, Any], known: dict[str, tuple[bool, dict[str, Any]]]) -> dict[str, Any]:
    """Give a duplicate the facts of the file that was scanned in its place."""
    original = row.get("duplicate_of")
    if not original or original not in known:
        return dict(row)
    kept = {k: row[k] for k in ("media_id", "path", "path_bytes", "camera_id", "duplicate_of")}
    reason = f"same content as {original}, which was scanned in its place"
    if said := known[original][1]["reason"]:
        reason = f"{reason}; {said}"
    return {**known[original][1], **kept, "_coverage": [], "reason": reason}


def _arrow_row(row: dict[str, Any]) -> dict[str, Any]:
    raw = row["path_bytes"]
    return {**row, "path_bytes": None if raw is None else bytes.fromhex(raw)}


def remove_uncommitted(folder: Path, ledger: Ledger) -> None:
    """Remove parts that an interruption left between their writing and their ledger row."""
    committed = {row.part for row in ledger.segments()}
    for kind in (FRAMES_FOLDER, DETECTIONS_FOLDER):
        for path in (folder / kind).iterdir() if (folder / kind).is_dir() else ():
            name = path.name.removeprefix(".").removesuffix(".tmp")
            if PART_NAME.fullmatch(name) and (name not in committed or name != path.name):
                path.unlink()


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS over every file of the run, in the form that `sha256sum -c` reads."""
    lines = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.name.startswith(".") and name != SUMS_NAME:
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n")
    write_bytes("".join(lines).encode(), folder / SUMS_NAME)
