"""Read truth from files and folders; the format is given, or told from the content."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from forensics.errors import TruthError
from forensics.truth.actev import looks_like_actev, read_actev
from forensics.truth.base import Truth, combine, read_text
from forensics.truth.coco import looks_like_coco, read_coco
from forensics.truth.cvat import looks_like_cvat, read_cvat
from forensics.truth.fiftyone import looks_like_fiftyone, read_fiftyone
from forensics.truth.megadetector import looks_like_megadetector, read_megadetector
from forensics.truth.mot import looks_like_mot, read_mot
from forensics.truth.planted import planted_files
from forensics.truth.spans import COLUMNS, read_spans
from forensics.truth.values import read_json, read_xml
from forensics.truth.voc import VocFolder, looks_like_voc
from forensics.truth.yolo import class_names, looks_like_yolo, read_yolo, read_yolo_or_ignore

_SUFFIXES = {
    "coco": (".json",),
    "yolo": (".txt",),
    "mot": (".txt",),
    "spans": (".csv", ".json"),
    "cvat": (".xml",),
    "voc": (".xml",),
    "megadetector": (".json",),
    "fiftyone": (".json",),
    "actev": (".json",),
}
FORMATS = tuple(_SUFFIXES)
_READERS: dict[str, Callable[[Path, str], Truth]] = {
    "coco": read_coco,
    "mot": read_mot,
    "spans": read_spans,
    "cvat": read_cvat,
    "megadetector": read_megadetector,
    "fiftyone": read_fiftyone,
    "actev": read_actev,
}
_DARKNET = re.compile(r"obj_.+_data$", re.IGNORECASE)  # labels and pictures lie together there
YoloReader = Callable[[Path, str, tuple[str, ...] | None], Truth]
_JSON_KINDS = {
    "megadetector": looks_like_megadetector,
    "coco": looks_like_coco,
    "actev": looks_like_actev,
    "fiftyone": looks_like_fiftyone,
}
_CANDIDATES = (".json", ".csv", ".txt", ".xml")
_BESIDE = {  # read with their main file, or written beside it by the format's own tool
    "actev": ("file-index.json", "activity-index.json"),
    "fiftyone": ("frames.json", "metadata.json", "manifest.json"),
    "mot": ("gt/labels.txt",),
}
_PROSE = ("README", "LICENSE", "COPYING", "COPYRIGHT", "NOTICE", "SOURCE", "CHANGELOG")
_CLASS_FILES = frozenset({"classes.txt", "data.yaml", "data.yml", "dataset.yaml", "obj.names"})


def load_truth(
    paths: Sequence[Path | str],
    format: str | None = None,  # noqa: A002
    *,
    lenient: bool = False,
) -> Truth:
    """Read every truth file at or below `paths`; several formats may be combined.

    A file given by name must be truth. In a folder, files that are no truth are left out and
    listed in `Truth.skipped`. What a sample.toml next to the truth lists as planted is in
    `Truth.planted`. `lenient`: a YOLO label file that cannot be read is a problem, and
    its image is ignored; else it is an error.
    """
    if format is not None and format not in FORMATS:
        raise TruthError(f"unknown truth format {format!r}; choose one of {', '.join(FORMATS)}")
    loader = _Loader(format, read_yolo_or_ignore if lenient else read_yolo)
    for given in map(Path, paths):
        if given.is_dir():
            loader.add_folder(given)
        elif not loader.add_file(given, given.name, _Names(given.parent)):
            raise TruthError(
                f"{given.name}: not a truth file that is known here; give "
                f"--truth-format ({', '.join(FORMATS)}) or another path"
            )
    truth = loader.truth()
    if not truth.media:
        named = ", ".join(str(path) for path in paths)
        raise TruthError(f"{named}: no truth found; give a file of {', '.join(FORMATS)}")
    return replace(truth, planted=planted_files(paths))


class _Names:
    """Class names of label folders below one top folder, each looked up once."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._known: dict[Path, tuple[str, ...] | None] = {}

    def of(self, folder: Path) -> tuple[str, ...] | None:
        if folder not in self._known:
            self._known[folder] = class_names(folder, self._top)
        return self._known[folder]


class _Loader:
    """Collects the truth of several files; VOC frames of one video come in many of them."""

    def __init__(self, given_format: str | None, yolo: YoloReader = read_yolo) -> None:
        self._format = given_format
        self._read_yolo = yolo
        self._parts: list[Truth] = []
        self._skipped: list[str] = []
        self._voc = VocFolder()

    def add_folder(self, top: Path) -> None:
        """Read every truth file below a folder; list what is none."""
        wanted = _SUFFIXES[self._format] if self._format else _CANDIDATES
        names = _Names(top)
        for path in sorted(top.rglob("*")):
            if path.suffix.lower() not in wanted or path.name in _CLASS_FILES or not path.is_file():
                continue
            shown = path.relative_to(top).as_posix()
            if _is_beside(path, self._format) or not self.add_file(path, shown, names):
                self._skipped.append(shown)

    def add_file(self, path: Path, shown: str, names: _Names) -> bool:
        """Read one file; False if it is no truth."""
        kind = self._format or detect_format(path, shown)
        if kind is None:
            return False
        if kind == "voc":
            self._voc.add(path, shown)
        elif kind == "yolo":
            self._parts.append(self._read_yolo(path, shown, names.of(path.parent)))
        else:
            self._parts.append(_READERS[kind](path, shown))
        return True

    def truth(self) -> Truth:
        return combine([*self._parts, self._voc.truth()], self._skipped)


def _is_beside(path: Path, given_format: str | None) -> bool:
    """Whether a file is read together with its main file, and is no truth by itself."""
    if given_format == "yolo":
        return path.with_name("obj.data").is_file()  # Darknet's lists of pictures
    return given_format is not None and path.as_posix().endswith(_BESIDE.get(given_format, ()))


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
    if suffix == ".xml":
        return _xml_format(path, shown)
    if not path.exists():
        raise TruthError(f"{path}: no such file or folder; check the path of the truth")
    return None


def _json_format(path: Path, shown: str) -> str | None:
    data = read_json(path, shown)
    for kind, looks_like in _JSON_KINDS.items():
        if looks_like(data):
            return kind
    entries = data.get("spans") if isinstance(data, dict) else data
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        return None
    return "spans" if "start_s" in entries[0] else None


def _xml_format(path: Path, shown: str) -> str | None:
    root = read_xml(path, shown)
    if looks_like_cvat(root):
        return "cvat"
    return "voc" if looks_like_voc(root) else None


def _text_format(path: Path, shown: str) -> str | None:
    if path.name.endswith(".mot.txt") or (path.name == "gt.txt" and path.parent.name == "gt"):
        return "mot"
    if path.stem.upper().startswith(_PROSE):
        return None
    if "labels" in path.parts[:-1] or any(map(_DARKNET.match, path.parts)):
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
