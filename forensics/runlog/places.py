"""Find the footage of a run again: only a file that still has the content that was scanned."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from forensics.hashes import sha256_of
from forensics.runlog.reader import RunTables


class Places:
    """Where the files of a run were. One content may have stood at several places."""

    def __init__(self, run: RunTables) -> None:
        self._places: dict[str, list[Path]] = defaultdict(list)
        for row in run.media.to_pylist():
            if row["media_id"] is not None:
                self._places[row["media_id"]].append(_place(run.manifest["base"], row))

    def find(self, media_id: str) -> tuple[Path | None, bool]:
        """The path of a file with that SHA-256, or None; True where another content is there."""
        changed = False
        for path in self._places[media_id]:
            try:
                sha256 = sha256_of(path)
            except (OSError, ValueError):
                continue
            if sha256 == media_id:
                return path, False
            changed = True
        return None, changed


def _place(base: str, row: dict[str, Any]) -> Path:
    raw = row["path_bytes"]
    name = str(row["path"]) if raw is None else bytes(raw).decode("utf-8", "surrogateescape")
    return Path(base) / name
