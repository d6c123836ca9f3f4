"""What is committed: one SQLite row per segment and per finished file. The ledger is the truth;
a part file that it does not name does not exist."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from forensics.errors import RunLogError

FILE_NAME = "ledger.sqlite"
SUMS_NAME = "SHA256SUMS"  # where it is, the run is sealed: it covers the ledger's one file
WAL_NAME = f"{FILE_NAME}-wal"
SIDE_FILES = (WAL_NAME, f"{FILE_NAME}-shm", f"{FILE_NAME}-journal")

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS inputs (
    path TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS segments (
    source_id TEXT NOT NULL, segment INTEGER NOT NULL, config_hash TEXT NOT NULL,
    first_media_id TEXT NOT NULL, part TEXT NOT NULL,
    frames_sha256 TEXT NOT NULL, detections_sha256 TEXT NOT NULL,
    n_frames INTEGER NOT NULL, n_detections INTEGER NOT NULL, coverage TEXT NOT NULL,
    PRIMARY KEY (source_id, segment, config_hash));
CREATE TABLE IF NOT EXISTS media (path TEXT PRIMARY KEY, done INTEGER NOT NULL, row TEXT NOT NULL);
"""
LEAST_FREE_BYTES = 1 << 16  # what SQLite needs to open a ledger for writing


@dataclass(frozen=True, slots=True)
class FileHash:
    """A file's SHA-256, and by what it is known to be the same file still."""

    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One committed segment. `part` names both part files; `coverage` is a list of row dicts."""

    source_id: str
    segment: int
    first_media_id: str
    part: str
    frames_sha256: str
    detections_sha256: str
    n_frames: int
    n_detections: int
    coverage: list[dict[str, Any]]


PUT_MEDIA = "INSERT OR REPLACE INTO media VALUES (?, ?, ?)"
PLAN_MEDIA = "INSERT OR IGNORE INTO media VALUES (?, ?, ?)"
SEGMENT_COLUMNS = tuple(field.name for field in fields(SegmentRow))


class Ledger:
    """The ledger of one run and one configuration. Only the scanning process writes it."""

    def __init__(self, folder: Path, config_hash: str | None = None) -> None:
        """Open the ledger; with `config_hash`, for writing, and only if it is the run's own."""
        self._path = folder / FILE_NAME
        writable = self._writable = config_hash is not None
        if writable:
            check_nothing_beside(folder)
        if not writable and not self._path.is_file():
            raise RunLogError(f"{folder} is not a run folder: it has no {FILE_NAME}")
        try:
            self._db = _connect(self._path, writable=writable)
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error
        try:
            if writable:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.executescript(TABLES)
            self.config_hash = self._config(config_hash)
        except (sqlite3.DatabaseError, ValueError) as error:
            self.close()
            raise self._unusable(error) from error
        except RunLogError:
            self.close()  # or its journal stays beside a ledger that is not ours
            raise

    def _unusable(self, error: Exception) -> RunLogError:
        if self._writable and _is_full(error, self._path.parent):
            return RunLogError(
                f"cannot write {self._path}: the disk is full; free some space, then run the same "
                "command again: what is committed is kept"
            )
        return RunLogError(f"{self._path} is damaged or locked: {error}")

    def _config(self, wanted: str | None) -> str:
        row = self._db.execute("SELECT value FROM meta WHERE key = 'config_hash'").fetchone()
        if wanted is None:
            return str(row[0]) if row else ""
        if row is None:
            with self._commit():
                self._db.execute("INSERT INTO meta VALUES ('config_hash', ?)", (wanted,))
        elif row[0] != wanted:
            raise RunLogError(
                f"{self._path.parent} was made with another cascade, engine or settings; choose "
                "another --out, or --overwrite to start again"
            )
        return wanted

    @contextmanager
    def _commit(self) -> Iterator[None]:
        try:
            with self._db:
                yield
        except sqlite3.DatabaseError as error:
            raise RunLogError(
                f"cannot write {self._path}: {error}; free some space, then run the same command "
                "again: what is committed is kept"
            ) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, ValueError, TypeError, RecursionError) as error:
            raise RunLogError(f"{self._path} is damaged: {error}") from error

    def hashes(self) -> dict[str, FileHash]:
        """Path -> what was hashed there last."""
        with self._reading():
            found = self._db.execute("SELECT path, size_bytes, mtime_ns, sha256 FROM inputs")
            return {path: FileHash(*values) for path, *values in found}

    def put_hash(self, path: str, size_bytes: int, mtime_ns: int, sha256: str) -> None:
        with self._commit():
            self._db.execute(
                "INSERT OR REPLACE INTO inputs VALUES (?, ?, ?, ?)",
                (path, size_bytes, mtime_ns, sha256),
            )

    def put_segment(self, row: SegmentRow, files: Sequence[dict[str, Any]] = ()) -> None:
        """Commit a segment and, in the same transaction, the ends of `files` (media rows)."""
        values = asdict(row) | {
            "config_hash": self.config_hash,
            "coverage": json.dumps(row.coverage, sort_keys=True),
        }
        with self._commit():
            self._db.execute(
                "INSERT OR REPLACE INTO segments VALUES (:source_id, :segment, :config_hash, "
                ":first_media_id, :part, :frames_sha256, :detections_sha256, :n_frames, "
                ":n_detections, :coverage)",
                values,
            )
            self._db.executemany(PUT_MEDIA, [_media_values(file, done=True) for file in files])

    def segments(self) -> list[SegmentRow]:
        """Committed segments by source and number."""
        with self._reading():
            found = self._db.execute(
                "SELECT source_id, segment, first_media_id, part, frames_sha256, "
                "detections_sha256, n_frames, n_detections, coverage FROM segments "
                "WHERE config_hash = ? ORDER BY source_id, segment",
                (self.config_hash,),
            )
            return [_segment_row(values) for values in found]

    def plan_media(self, rows: Sequence[dict[str, Any]]) -> None:
        """Record files that are to be scanned; what is known of them already stays."""
        with self._commit():
            self._db.executemany(PLAN_MEDIA, [_media_values(row, done=False) for row in rows])

    def put_media(self, row: dict[str, Any], *, done: bool) -> None:
        """Record how an input file ended; `done` False = try again on the next run."""
        with self._commit():
            self._db.execute(PUT_MEDIA, _media_values(row, done=done))

    def media(self) -> dict[str, tuple[bool, dict[str, Any]]]:
        """Path -> (done, row) of every file planned or come to its end."""
        with self._reading():
            found = self._db.execute("SELECT path, done, row FROM media ORDER BY path")
            return {path: (bool(done), json.loads(row)) for path, done, row in found}

    def close(self) -> None:
        """Close; after writing, all that is committed is in the one file, if nobody reads it."""
        if self._writable:
            with suppress(sqlite3.DatabaseError):  # what is committed is in the -wal file, then
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        if self._writable and not _has_content(self._path.with_name(WAL_NAME)):
            for name in SIDE_FILES[:2]:  # a reader that is still there would leave them behind
                self._path.with_name(name).unlink(missing_ok=True)


def check_whole(folder: Path) -> None:
    """Raise RunLogError while some of what a closed ledger holds is not in its one file yet."""
    if _has_content(folder / WAL_NAME):
        raise RunLogError(
            f"another program is reading {folder / FILE_NAME}; end it, then run the same command "
            "again: what is committed is kept"
        )


def check_nothing_beside(folder: Path) -> None:
    """Raise RunLogError where a sealed ledger has a journal: it would be taken in unseen."""
    for name in (WAL_NAME, SIDE_FILES[2]):
        if (folder / SUMS_NAME).exists() and _has_content(folder / name):
            raise RunLogError(
                f"{folder / name} lies beside a ledger that was sealed, and would change it; "
                "run `verify`, and move that file away"
            )


def _is_full(error: Exception, folder: Path) -> bool:
    """SQLite calls a full disk by its name when it writes, and an I/O error elsewhere."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_IOERR"):
        return shutil.disk_usage(folder).free < LEAST_FREE_BYTES
    return bool(name == "SQLITE_FULL")


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _segment_row(values: tuple[Any, ...]) -> SegmentRow:
    row = dict(zip(SEGMENT_COLUMNS, values, strict=True))
    if not all(isinstance(value, str | int) for value in values):
        raise ValueError("a segment's row is not of text and numbers")
    return SegmentRow(**{**row, "coverage": json.loads(row["coverage"])})


def _media_values(row: dict[str, Any], *, done: bool) -> tuple[str, int, str]:
    return row["path"], int(done), json.dumps(row, sort_keys=True)


def _connect(path: Path, *, writable: bool) -> sqlite3.Connection:
    if not writable:
        # Reading must work on write-protected evidence too, where WAL cannot make its files; and
        # of a sealed run it must see what the check sums cover, not a journal laid beside it.
        address = f"{path.resolve().as_uri()}?mode=ro"
        if path.with_name(SUMS_NAME).exists() or not _has_content(path.with_name(WAL_NAME)):
            address += "&immutable=1"
        return sqlite3.connect(address, uri=True)
    return sqlite3.connect(path, timeout=5)
