"""From input files to units of work: a video, or up to 256 stills of one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from forensics.errors import RunLogError
from forensics.footage.find import hash_file
from forensics.runlog.ledger import Ledger
from forensics.types import InputFile

STILLS_PER_UNIT = 256
CHANGED = "the file changed while it was scanned"
VANISHED = "the file vanished while it was scanned"


@dataclass(frozen=True, slots=True)
class Unit:
    """Files decoded by one child: a single video, or stills in order."""

    inputs: tuple[InputFile, ...]
    stills: bool


@dataclass(frozen=True, slots=True)
class Identified:
    """A unit to decode: `hashes` are the SHA-256 of its files, all known."""

    unit: Unit
    hashes: tuple[str, ...]

    @property
    def source_id(self) -> str:
        """The video's SHA-256, or that of the chunk's SHA-256s: the key of its segments."""
        if not self.unit.stills:
            return self.hashes[0]
        return hashlib.sha256("\n".join(self.hashes).encode()).hexdigest()


class KnownFiles:
    """What earlier runs of the same command left in the ledger, read once."""

    def __init__(self, ledger: Ledger) -> None:
        self.segments: dict[str, int] = {}
        for row in ledger.segments():
            self.segments[row.source_id] = row.segment + 1
        self._media = ledger.media()
        self._hashes = ledger.hashes()

    def is_done(self, file: InputFile) -> bool:
        """True when the file came to its end before. Raises RunLogError when it has changed."""
        done, row = self._media.get(file.relative, (False, {}))
        if done and row["media_id"] is not None and self.hash_of(file) is None:
            self._check_content(file, row["media_id"])
        return done

    def originals(self) -> dict[str, str]:
        """Content -> the path under which it came to its end, whether still offered or not."""
        ends = [row for done, row in self._media.values() if done and not row.get("duplicate_of")]
        return {row["media_id"]: row["path"] for row in ends if row["media_id"] is not None}

    def scanned_as(self, file: InputFile) -> str:
        """The path under which the content of a file that is done was, or is to be, scanned."""
        _, row = self._media[file.relative]
        return row.get("duplicate_of") or file.relative

    def media_id(self, file: InputFile) -> str | None:
        """The hash recorded for a path, whatever lies there now."""
        return self._hashes[file.relative].sha256 if file.relative in self._hashes else None

    def hash_of(self, file: InputFile) -> str | None:
        """The hash recorded for a file whose size and time of change are as they were."""
        known = self._hashes.get(file.relative)
        if known is None or (known.size_bytes, known.mtime_ns) != (file.size_bytes, file.mtime_ns):
            return None
        return known.sha256

    def check_resumable(self, file: InputFile, media_id: str) -> None:
        """Raise RunLogError when segments of another content are committed under this path."""
        before = self.media_id(file)
        if before not in {None, media_id} and before in self.segments:
            raise _changed(file)

    def _check_content(self, file: InputFile, media_id: str) -> None:
        """A copied or touched file has another time of change; only its content counts."""
        try:
            same = not file.refused and hash_file(file.path) == media_id
        except OSError as error:
            raise RunLogError(
                f"{file.relative} was scanned before and cannot be read now: {error.strerror}"
            ) from error
        if not same:
            raise _changed(file)


def _changed(file: InputFile) -> RunLogError:
    return RunLogError(
        f"{file.relative} has changed since it was scanned; scan it into another --out"
    )


def change_since_found(file: InputFile) -> str:
    """Empty while a file is as it was found; else `CHANGED` or `VANISHED`."""
    try:
        facts = file.path.lstat()
    except OSError:
        return VANISHED
    unchanged = (facts.st_size, facts.st_mtime_ns) == (file.size_bytes, file.mtime_ns)
    return "" if unchanged else CHANGED


def plan_units(inputs: Sequence[InputFile], waiting: Collection[InputFile]) -> Iterator[Unit]:
    """Group inputs, in order, into units, then leave out those that are not `waiting`.

    In this order, so that a scan that goes on has the same units as one that was never stopped.
    Refused inputs must have been taken out before.
    """
    for (stills, _), group in groupby(inputs, key=lambda f: (f.is_still, f.path.parent)):
        members = tuple(group)
        size = STILLS_PER_UNIT if stills else 1
        for start in range(0, len(members), size):
            chunk = tuple(f for f in members[start : start + size] if f in waiting)
            if chunk:
                yield Unit(chunk, stills)


def identify(
    file: InputFile, known: KnownFiles, stopped: Callable[[], bool]
) -> tuple[str | None, str]:
    """(SHA-256, "") of a file, read unless known; or (None, why it cannot be read).

    Raises RunLogError when another content has been scanned in part under this path.
    """
    try:
        media_id = known.hash_of(file) or hash_file(file.path, stopped)
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    known.check_resumable(file, media_id)
    return media_id, ""
