"""Footage whose targets a computer put there, where a list beside the truth says so."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from forensics.errors import TruthError

SAMPLE_FILE = "sample.toml"


def planted_files(truth_paths: Sequence[Path | str]) -> frozenset[str]:
    """Names of clips that a sample.toml next to the truth lists as planted. Raises TruthError."""
    names: set[str] = set()
    for path in truth_paths:
        folder = Path(path).resolve()
        for place in (folder, folder.parent, folder.parent.parent):
            found = place / SAMPLE_FILE
            if found.is_file():
                names |= _listed(found)
                break
    return frozenset(names)


def _listed(path: Path) -> set[str]:
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8")).get("planted", [])
    except (OSError, ValueError) as error:
        raise TruthError(f"{path}: not readable as TOML ({error}); mend or remove it") from error
    return {str(name) for name in listed} if isinstance(listed, list) else set()
