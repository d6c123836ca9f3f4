"""From input files to units of work: a video, or up to 256 stills of one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from forensics.errors import RunLogError
from forensics.footage.find import hash_file
from forensics.runlog.ledger import Ledger
from forensics.types import InputFile

STILLS_PER_UNIT = 256


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
        if file.relative not in self._media:
            return False
        done, row = self._media[file.relative]
        if done and row["media_id"] is not None and self.hash_of(file) is None:
            raise RunLogError(
                f"{file.relative} has changed since it was scanned; scan it into another --out"
            )
        return done

    def hash_of(self, file: InputFile) -> str | None:
        """The hash recorded for a file whose size and time of change are as they were."""
        return self._hashes.get((file.relative, file.size_bytes, file.mtime_ns))


def plan_units(inputs: Sequence[InputFile]) -> Iterator[Unit]:
    """Group inputs, in order, into units; refused inputs must have been taken out before."""
    for (stills, _), group in groupby(inputs, key=lambda f: (f.is_still, f.path.parent)):
        members = tuple(group)
        size = STILLS_PER_UNIT if stills else 1
        for start in range(0, len(members), size):
            yield Unit(members[start : start + size], stills)


def identify(file: InputFile, known: KnownFiles) -> tuple[str | None, str]:
    """(SHA-256, "") of a file, read unless known; or (None, why it cannot be read)."""
    try:
        return known.hash_of(file) or hash_file(file.path), ""
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
