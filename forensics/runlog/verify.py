"""Does everything still hash to what was recorded? Inputs, models, part files, tables."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forensics.errors import RunLogError
from forensics.hashes import sha256_of
from forensics.runlog import reader
from forensics.runlog.ledger import SIDE_FILES, SUMS_NAME, FileHash, Ledger, SegmentRow
from forensics.runlog.manifest import read_manifest
from forensics.runlog.writer import DETECTIONS_FOLDER, FRAMES_FOLDER

__all__ = ["SUMS_NAME", "Extent", "Finding", "check_seal", "extent_of", "verify_run"]

EXPECTED = ("run.json", "ledger.sqlite", "media.parquet", "coverage.parquet", "timings.json")
LOCK_NAME = ".lock"  # empty; a scan holds it
# Made for reports, which may be written long after the scan: a picture is named by its SHA-256.
EVIDENCE = re.compile(r"evidence/([0-9a-f]{64})\.(jpg|json)")
JOURNAL = "is a journal of the ledger: readers of a run that has ended leave it aside"
SUMS_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


MediaRows = dict[str, dict[str, Any]]
Hashes = dict[str, FileHash]


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked item; `problem` is empty when it is sound.

    `kind` is input, model, part, table or picture.
    """

    kind: str
    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a run has come: its status, its files, and those that say nothing or not all."""

    status: str
    files: int
    not_hashed: int
    not_scanned: int

    @property
    def whole(self) -> bool:
        return self.status == "complete" and not self.not_hashed and not self.not_scanned


def extent_of(folder: Path) -> Extent:
    """How far a run has come. Raises RunLogError where that cannot be read."""
    manifest = read_manifest(folder)
    _, media, hashes = _read_ledger(folder)
    return Extent(
        status=str(manifest.get("status")),
        files=len(media),
        not_hashed=sum(_recorded_hash(path, row, hashes) is None for path, row in media.items()),
        not_scanned=sum(_scanned_row(row, media).get("status") != "ok" for row in media.values()),
    )


def verify_run(
    folder: Path, *, footage: bool = True, models: Mapping[str, Path] | None = None
) -> Iterator[Finding]:
    """Check every recorded hash of a run, yielding a finding for each item.

    `models` (SHA-256 -> path) are looked in where no model is at its recorded path: the package
    may be installed elsewhere now.

    A damaged file is a finding, so that the others are checked as well. Raises RunLogError when
    the folder is no run folder at all.
    """
    if not any((folder / name).exists() for name in EXPECTED[:2]):
        raise RunLogError(f"{folder} is not a run folder: it has no {EXPECTED[0]}")
    manifest: dict[str, Any] = {}
    segments: list[SegmentRow] = []
    media: MediaRows = {}
    hashes: Hashes = {}
    try:
        manifest = read_manifest(folder)
    except RunLogError as error:
        yield Finding("table", EXPECTED[0], str(error))
    try:
        segments, media, hashes = _read_ledger(folder)
    except RunLogError as error:
        yield Finding("table", EXPECTED[1], str(error))
    for row in segments:
        yield _part(folder / FRAMES_FOLDER / row.part, row.frames_sha256, row.n_frames)
        yield _part(folder / DETECTIONS_FOLDER / row.part, row.detections_sha256, row.n_detections)
    yield from _strays(folder, segments)
    yield from _sums(folder, segments)
    yield from _models(manifest, models or {})
    if footage and isinstance(manifest.get("base"), str):
        base = Path(manifest["base"])
        for path, file in media.items():
            recorded = _recorded_hash(path, file, hashes)
            if recorded is not None:
                yield _input(base, path, file, recorded)


def _read_ledger(folder: Path) -> tuple[list[SegmentRow], MediaRows, Hashes]:
    with closing(Ledger(folder)) as ledger:
        media = {path: row for path, (_, row) in ledger.media().items()}
        return ledger.segments(), media, ledger.hashes()


def _recorded_hash(path: str, row: dict[str, Any], hashes: Hashes) -> str | None:
    """A file that the scan had only begun with has a hash, but none in its row."""
    if row.get("media_id") is not None:
        return str(row["media_id"])
    return hashes[path].sha256 if path in hashes else None


def _scanned_row(row: dict[str, Any], media: MediaRows) -> dict[str, Any]:
    """The row that says how a file ended: a copy's is that of what was scanned in its place."""
    return media.get(str(row.get("duplicate_of")), row)


def _models(manifest: dict[str, Any], elsewhere: Mapping[str, Path]) -> Iterator[Finding]:
    if not manifest:
        return
    try:
        listed = [(Path(model["path"]), str(model["sha256"])) for model in manifest["models"]]
    except (KeyError, TypeError):
        yield Finding("table", EXPECTED[0], "does not say which models ran")
        return
    for path, sha256 in listed:
        name = path.name.encode("utf-8", "backslashreplace").decode()
        place = path if path.is_absolute() and path.exists() else elsewhere.get(sha256, path)
        yield _file("model", name, place, sha256)


def _input(base: Path, path: str, row: dict[str, Any], recorded: str) -> Finding:
    def check() -> str:
        raw = row.get("path_bytes")
        name = path if raw is None else bytes.fromhex(raw).decode("utf-8", "surrogateescape")
        return _compare(sha256_of(base / name), recorded)

    return Finding("input", path, _guarded(check))


def _file(kind: str, name: str, path: Path, sha256: str) -> Finding:
    return Finding(kind, name, _guarded(lambda: _compare(sha256_of(path), sha256)))


def _part(path: Path, sha256: str, n_rows: int) -> Finding:
    def check() -> str:
        problem = _compare(sha256_of(path), sha256)
        if not problem and (found := reader.read_table(path).num_rows) != n_rows:
            problem = f"holds {found} rows, not {n_rows}"
        return problem

    return Finding("part", f"{path.parent.name}/{path.name}", _guarded(check))


def _compare(found: str, recorded: str) -> str:
    if found == recorded:
        return ""
    return f"SHA-256 is {found[:16]}..., recorded {recorded[:16]}..."


def _guarded(check: Callable[[], str]) -> str:
    try:
        return check()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (RunLogError, ValueError, TypeError) as error:  # a damaged ledger names odd things
        return str(error)


def _sums(folder: Path, segments: list[SegmentRow]) -> Iterator[Finding]:
    """Every file that SHA256SUMS lists or must list; the hashes of parts are the ledger's."""
    try:
        listed = _read_sums(folder / SUMS_NAME)
    except (OSError, ValueError):
        problem = "is missing or damaged: the scan has not come to its end; run it again"
        yield Finding("table", SUMS_NAME, problem)
        return
    parts = {f"{FRAMES_FOLDER}/{row.part}": row.frames_sha256 for row in segments}
    parts |= {f"{DETECTIONS_FOLDER}/{row.part}": row.detections_sha256 for row in segments}
    for name in sorted({*EXPECTED, *parts, *listed}):
        if name not in listed:
            yield Finding("table", name, f"is not in {SUMS_NAME}")
        elif name not in parts:
            yield _file("table", name, folder / name, listed[name])
        elif listed[name] != parts[name]:
            yield Finding("table", SUMS_NAME, f"{name}: {_compare(parts[name], listed[name])}")
    yield from _unlisted(folder, {SUMS_NAME, LOCK_NAME, *EXPECTED, *parts, *listed})


def check_seal(folder: Path) -> None:
    """Raise RunLogError where tables or parts of a sealed run are not those that were sealed.

    A scan that goes on with a run seals it again, and what was changed meanwhile with it. Each
    file is read once: sealing takes the hashes of parts from the ledger.
    """
    if not (folder / SUMS_NAME).exists():
        return
    try:
        listed = _read_sums(folder / SUMS_NAME)
        names = [n for n in (*EXPECTED, *filter(_is_part, sorted(listed))) if n in listed]
        changed = next((n for n in names if sha256_of(folder / n) != listed[n]), None)
    except (OSError, ValueError) as error:
        raise RunLogError(
            f"{folder}: {SUMS_NAME} or a file of the log that it lists cannot be read: {error}; "
            "run `verify` on the run, restore that file, or scan anew into another --out"
        ) from error
    if changed:
        raise RunLogError(
            f"{folder / changed} was changed after the scan had ended; run `verify` on the run, "
            "restore that file, or scan anew into another --out"
        )


def _unlisted(folder: Path, known: Collection[str]) -> Iterator[Finding]:
    """Files that came later, such as a journal, with which SQLite would change the ledger."""
    for name in _files(folder):
        if name in SIDE_FILES and name in known:
            yield Finding("table", name, JOURNAL)
        if name in known or _is_part(name):  # `_strays` sees to those
            continue
        shown = name.encode("utf-8", "backslashreplace").decode()
        if match := EVIDENCE.fullmatch(name):
            if match[2] == "jpg":
                yield _file("picture", shown, folder / name, match[1])
        else:
            yield Finding("table", shown, f"is not in {SUMS_NAME}: it came after the scan")


def _files(folder: Path) -> list[str]:
    """Whatever is in the run folder and no folder, by its name within it; links as well."""
    found = []
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        found += [Path(place, name).relative_to(folder).as_posix() for name in (*names, *links)]
    return sorted(found)


def _is_part(name: str) -> bool:
    """True of a file among the parts."""
    kind, _, rest = name.partition("/")
    return kind in {FRAMES_FOLDER, DETECTIONS_FOLDER} and "/" not in rest


def _read_sums(path: Path) -> dict[str, str]:
    """File name -> SHA-256. Raises OSError or ValueError."""
    *lines, rest = path.read_bytes().decode().split("\n")
    matches = [SUMS_LINE.fullmatch(line) for line in lines]
    listed = {match[2]: match[1] for match in matches if match is not None}
    if rest or len(listed) != len(lines):
        raise ValueError("not a list of hashes")
    return listed


def _strays(folder: Path, segments: list[SegmentRow]) -> Iterator[Finding]:
    """Files among the parts that the ledger does not know: left by a crash, or slipped in."""
    known = {row.part for row in segments}
    for kind in (FRAMES_FOLDER, DETECTIONS_FOLDER):
        for path in sorted((folder / kind).glob("*")):
            if path.name not in known:
                name = path.name.encode("utf-8", "backslashreplace").decode()
                yield Finding("part", f"{kind}/{name}", "is not in the ledger")
