"""The tables that are derived from the ledger when a scan stops: media, coverage, check sums."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from forensics.footage.find import UNLISTED, hash_file
from forensics.runlog import schemas
from forensics.runlog.ledger import Ledger
from forensics.runlog.verify import SUMS_NAME
from forensics.runlog.writer import DETECTIONS_FOLDER, FRAMES_FOLDER, write_bytes, write_table
from forensics.scan.rows import coverage_row, media_row
from forensics.types import CoverageState, InputFile, Status

PART_NAME = re.compile(r"[0-9a-f]{32}-[0-9]{6}\.parquet")
UNFINISHED = "the scan has not come to its end; run the same command again to go on"
GONE = "no longer among the files offered when the scan went on; it had not come to its end"
OF_THE_NAME = ("media_id", "path", "path_bytes", "camera_id")  # what copies do not share


def planned_rows(inputs: Sequence[InputFile]) -> list[dict[str, Any]]:
    """The media row of each file before anything is known of it."""
    return [media_row(f, None, status=str(Status.PARTIAL), reason=UNFINISHED) for f in inputs]


def write_tables(folder: Path, ledger: Ledger, inputs: Sequence[InputFile]) -> list[dict[str, Any]]:
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
    """Media rows and coverage rows: inputs in order, then files that are gone since.

    The coverage of a content is given once, under the path of its first row; later rows of the
    same content are marked as copies. So a file that was renamed between two runs counts once.
    """
    known, covered = _known_rows(ledger), _covered(ledger)
    offered = [file.relative for file in inputs]
    cameras = {file.relative: file.camera_id for file in inputs}
    gone = [path for path in sorted(set(known) - set(offered)) if not _listed(known[path], offered)]
    facts = _facts_by_content(known, [*offered, *gone])
    first: dict[str, str] = {}
    rows, coverage = [], []
    for path in [*offered, *gone]:
        row, media_id = known[path], known[path]["media_id"]
        if media_id is not None:
            row = facts[media_id] | {name: row[name] for name in OF_THE_NAME}
        row["camera_id"] = cameras.get(path, row["camera_id"])  # the rule of this run holds
        rest = row.pop("_coverage", [])
        if media_id is not None and first.setdefault(media_id, path) != path:
            row["reason"] = _as_copy(row["reason"], first[media_id], path in gone)
        else:
            if row["reason"] == UNFINISHED and path in gone:
                row["reason"] = GONE
            found = covered.get(media_id, [])
            found = [*found, *(rest or _not_reached(row, found))]
            coverage += [c | {"path": path} for c in found]
        rows.append({name: row[name] for name in schemas.MEDIA.names})
    return rows, coverage


def _known_rows(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Path -> the ledger's row, with `done`, and with the content's hash where it is known."""
    hashes, known = ledger.hashes(), {}
    for path, (done, row) in ledger.media().items():
        if row["media_id"] is None and path in hashes:
            row["media_id"] = hashes[path].sha256
        known[path] = row | {"done": done}
    return known


def _listed(row: Mapping[str, Any], offered: Sequence[str]) -> bool:
    """True for a folder that could not be listed once, and now can: its files speak for it."""
    below = f"{row['path']}/"
    return row["reason"].startswith(UNLISTED) and any(path.startswith(below) for path in offered)


def _covered(ledger: Ledger) -> dict[str | None, list[dict[str, Any]]]:
    """Content -> coverage rows of its committed segments."""
    found: dict[str | None, list[dict[str, Any]]] = {}
    for segment in ledger.segments():
        for row in segment.coverage:
            found.setdefault(row["media_id"], []).append(row)
    return found


def _facts_by_content(
    known: Mapping[str, dict[str, Any]], order: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Content -> what is known of it: the row of the file that was scanned, whatever its name."""
    facts: dict[str, dict[str, Any]] = {}
    for path in order:
        row = known[path]
        best = facts.setdefault(row["media_id"], row)
        if _rank(row) > _rank(best):
            facts[row["media_id"]] = row
    return facts


def _rank(row: Mapping[str, Any]) -> tuple[bool, bool]:
    return not row.get("duplicate_of"), bool(row["done"])


def _as_copy(reason: str, original: str, gone: bool) -> str:
    end = "; no longer among the files offered" if gone else ", which was scanned in its place"
    return "; ".join(filter(None, (f"same content as {original}{end}", reason)))


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
    """Write SHA256SUMS over every file of the run, in the form that `sha256sum -c` reads.

    Parts are listed as they were committed: what has become of them since shows.
    """
    committed, lines = _part_hashes(folder), []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.name.startswith(".") and name != SUMS_NAME:
            lines.append(f"{committed.get(name) or hash_file(path)}  {name}\n")
    write_bytes("".join(lines).encode(), folder / SUMS_NAME)


def _part_hashes(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of each part file that the ledger names."""
    with closing(Ledger(folder)) as ledger:
        rows = ledger.segments()
    frames = {f"{FRAMES_FOLDER}/{row.part}": row.frames_sha256 for row in rows}
    return frames | {f"{DETECTIONS_FOLDER}/{row.part}": row.detections_sha256 for row in rows}
