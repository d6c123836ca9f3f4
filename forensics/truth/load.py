"""Read truth from files and folders; the format is given, or told from the content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from forensics.errors import TruthError
from forensics.truth.base import Truth, combine, read_text
from forensics.truth.coco import looks_like_coco, read_coco
from forensics.truth.mot import looks_like_mot, read_mot
from forensics.truth.spans import COLUMNS, read_spans
from forensics.truth.yolo import class_names, looks_like_yolo, read_yolo

FORMATS = ("coco", "yolo", "mot", "spans")
_SUFFIXES = {"coco": (".json",), "yolo": (".txt",), "mot": (".txt",), "spans": (".csv", ".json")}
_CANDIDATES = (".json", ".csv", ".txt")
_PROSE = ("README", "LICENSE", "COPYING", "COPYRIGHT", "NOTICE", "SOURCE", "CHANGELOG")
_CLASS_FILES = frozenset({"classes.txt", "data.yaml", "data.yml", "dataset.yaml", "obj.names"})


def load_truth(paths: Sequence[Path | str], format: str | None = None) -> Truth:  # noqa: A002
    """Read every truth file at or below `paths`; several formats may be combined.

    A file given by name must be truth. In a folder, files that are no truth are left out and
    listed in `Truth.skipped`.
    """
    if format is not None and format not in FORMATS:
        raise TruthError(f"unknown truth format {format!r}; choose one of {', '.join(FORMATS)}")
    parts: list[Truth] = []
    skipped: list[str] = []
    for given in map(Path, paths):
        if given.is_dir():
            _load_folder(given, format, parts, skipped)
        else:
            found = _load_file(given, given.name, format, _Names(given.parent))
            if found is None:
                raise TruthError(
                    f"{given.name}: not a truth file that is known here; give "
                    f"--truth-format ({', '.join(FORMATS)}) or another path"
                )
            parts.append(found)
    if not any(part.media for part in parts):
        named = ", ".join(str(path) for path in paths)
        raise TruthError(f"{named}: no truth found; give a COCO, YOLO, MOT or span file")
    return combine(parts, skipped)


class _Names:
    """Class names of label folders below one top folder, each looked up once."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._known: dict[Path, tuple[str, ...] | None] = {}

    def of(self, folder: Path) -> tuple[str, ...] | None:
        if folder not in self._known:
            self._known[folder] = class_names(folder, self._top)
        return self._known[folder]


def _load_folder(top: Path, format_: str | None, parts: list[Truth], skipped: list[str]) -> None:
    wanted = _SUFFIXES[format_] if format_ else _CANDIDATES
    names = _Names(top)
    for path in sorted(top.rglob("*")):
        if path.suffix.lower() not in wanted or path.name in _CLASS_FILES or not path.is_file():
            continue
        shown = path.relative_to(top).as_posix()
        found = _load_file(path, shown, format_, names)
        if found is None:
            skipped.append(shown)
        else:
            parts.append(found)


def _load_file(path: Path, shown: str, format_: str | None, names: _Names) -> Truth | None:
    kind = format_ or detect_format(path, shown)
    if kind == "coco":
        return read_coco(path, shown)
    if kind == "spans":
        return read_spans(path, shown)
    if kind == "mot":
        return read_mot(path, shown)
    if kind == "yolo":
        return read_yolo(path, shown, names.of(path.parent))
    return None


def detect_format(path: Path, shown: str) -> str | None:
    """Tell the format of one file from its place and content; None if it is no truth."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        first = read_text(path, shown).split("\n", 1)[0]
        return "spans" if all(name in first for name in COLUMNS) else None
    if suffix == ".json":
        return _json_format(path, shown)
    if suffix == ".txt":
        return _text_format(path, shown)
    if not path.exists():
        raise TruthError(f"{path}: no such file or folder; check the path of the truth")
    return None


def _json_format(path: Path, shown: str) -> str | None:
    try:
        data = json.loads(read_text(path, shown))
    except (ValueError, RecursionError) as error:
        raise TruthError(f"{shown}: not valid JSON ({error}); fix or export it again") from error
    if looks_like_coco(data):
        return "coco"
    entries = data.get("spans") if isinstance(data, dict) else data
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        return None
    return "spans" if "start_s" in entries[0] else None


def _text_format(path: Path, shown: str) -> str | None:
    if path.name.endswith(".mot.txt") or (path.name == "gt.txt" and path.parent.name == "gt"):
        return "mot"
    if path.stem.upper().startswith(_PROSE):
        return None
    if "labels" in path.parts[:-1]:
        return "yolo"
    try:
        text = read_text(path, shown)
    except TruthError:
        if not path.is_file():
            raise
        return None
    first = next((line for line in text.splitlines() if line.strip()), "")
    if looks_like_mot(first):
        return "mot"
    return "yolo" if looks_like_yolo(first) else None
