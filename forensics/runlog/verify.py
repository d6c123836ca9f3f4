"""Does everything still hash to what was recorded? Inputs, models, part files, tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from forensics.errors import RunLogError
from forensics.runlog import reader
from forensics.runlog.ledger import Ledger, SegmentRow
from forensics.runlog.manifest import read_manifest
from forensics.runlog.writer import DETECTIONS_FOLDER, FRAMES_FOLDER

SUMS_NAME = "SHA256SUMS"
EXPECTED = ("run.json", "ledger.sqlite", "media.parquet", "coverage.parquet", "timings.json")
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked item: `kind` input, model, part or table; `problem` empty when it is sound."""

    kind: str
    name: str
    problem: str


def verify_run(folder: Path, *, footage: bool = True) -> Iterator[Finding]:
    """Check every recorded hash of a run, yielding a finding for each item.

    Raises RunLogError when the folder is not readable as a run at all.
    """
    manifest = read_manifest(folder)
    ledger = Ledger(folder)
    try:
        segments, media = ledger.segments(), ledger.media()
    finally:
        ledger.close()
    for row in segments:
        yield _part(folder / FRAMES_FOLDER / row.part, row.frames_sha256, row.n_frames)
        yield _part(folder / DETECTIONS_FOLDER / row.part, row.detections_sha256, row.n_detections)
    yield from _strays(folder, segments)
    yield from _sums(folder)
    for model in manifest["models"]:
        yield _file("model", Path(model["path"]), model["sha256"])
    if footage:
        base = Path(manifest["base"])
        for path, (_, file) in media.items():
            if file["media_id"] is not None:
                yield _file("input", _input_path(base, path, file), file["media_id"])


def _input_path(base: Path, path: str, row: dict[str, Any]) -> Path:
    if row["path_bytes"] is None:
        return base / path
    return base / bytes.fromhex(row["path_bytes"]).decode("utf-8", "surrogateescape")


def _file(kind: str, path: Path, sha256: str) -> Finding:
    return Finding(kind, path.name, _guarded(lambda: _compare(path, sha256)))


def _part(path: Path, sha256: str, n_rows: int) -> Finding:
    def check() -> str:
        problem = _compare(path, sha256)
        if not problem and reader.read_table(path).num_rows != n_rows:
            found = pq.ParquetFile(path).metadata.num_rows
            problem = f"holds {found} rows, not {n_rows}"
        return problem

    return Finding("part", f"{path.parent.name}/{path.name}", _guarded(check))


def _compare(path: Path, sha256: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    found = digest.hexdigest()
    return "" if found == sha256 else f"SHA-256 is {found[:16]}..., recorded {sha256[:16]}..."


def _guarded(check: Callable[[], str]) -> str:
    try:
        return check()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except RunLogError as error:
        return str(error)


def _sums(folder: Path) -> Iterator[Finding]:
    """The files beside the parts, against SHA256SUMS."""
    path = folder / SUMS_NAME
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        problem = "is missing or damaged: the scan has not come to its end; run it again"
        yield Finding("table", SUMS_NAME, problem)
        return
    listed = {}
    for line in lines:
        sha256, _, name = line.partition("  ")
        listed[name] = sha256
    for name in sorted({*EXPECTED, *listed}):
        if name not in listed:
            yield Finding("table", name, f"is not in {SUMS_NAME}")
        elif not name.startswith((FRAMES_FOLDER, DETECTIONS_FOLDER)):
            yield _file("table", folder / name, listed[name])


def _strays(folder: Path, segments: list[SegmentRow]) -> Iterator[Finding]:
    """Part files that the ledger does not know: left by a crash, or slipped in."""
    known = {row.part for row in segments}
    for kind in (FRAMES_FOLDER, DETECTIONS_FOLDER):
        for path in sorted((folder / kind).glob("*.parquet")):
            if path.name not in known:
                yield Finding("part", f"{kind}/{path.name}", "is not in the ledger")
