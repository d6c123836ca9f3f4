"""Read truth from files and folders; the format is given, or told from the content."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

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
from forensics.truth.yolo import looks_like_yolo, read_yolo, read_yolo_or_ignore
from forensics.truth.yolo_names import CLASS_FILES, class_names
from forensics.types import STILL_SUFFIXES

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
_READERS: dict[str, Callable[..., Truth]] = {  # of path, name as shown and `document`
    "coco": read_coco,
    "mot": read_mot,
    "spans": read_spans,
    "cvat": read_cvat,
    "megadetector": read_megadetector,
    "fiftyone": read_fiftyone,
    "actev": read_actev,
}
_DARKNET = re.compile(r"obj_.+_data$", re.IGNORECASE)  # labels and pictures lie together there
MAX_LINE = 10_000
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
}
_PROSE = frozenset(
    {"README", "LICENSE", "COPYING", "COPYRIGHT", "NOTICE", "SOURCE", "SOURCES", "CHANGELOG"}
)


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
    for given in (Path(os.path.abspath(path)) for path in paths):  # the place tells the format
        if given.is_dir():
            loader.add_folder(given)
        elif not loader.add_file(given, given.name, _Folders(given.parent)):
            raise TruthError(
                f"{given.name}: not a truth file that is known here; give "
                f"--truth-format ({', '.join(FORMATS)}) or another path"
            )
    truth = loader.truth()
    if not truth.media:
        named = ", ".join(str(path) for path in paths)
        raise TruthError(f"{named}: no truth found; give a file of {', '.join(FORMATS)}")
    return replace(truth, planted=planted_files(paths))


class _Folders:
    """What is known of the folders of labels below one top folder, each looked at once."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._names: dict[Path, tuple[str, ...] | None] = {}
        self._yolo: dict[Path, bool] = {}

    def names_of(self, folder: Path) -> tuple[str, ...] | None:
        """Names of the classes of a folder's labels."""
        if folder not in self._names:
            self._names[folder] = class_names(folder, self._top)
        return self._names[folder]

    def hold_yolo(self, folder: Path) -> bool:
        """Whether any text file of a folder holds YOLO labels."""
        if folder not in self._yolo:
            texts = sorted(folder.glob("*.txt"))
            self._yolo[folder] = any(looks_like_yolo(_first_line(path)) for path in texts)
        return self._yolo[folder]


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
        folders = _Folders(top)
        for path in sorted(top.rglob("*")):
            if path.suffix.lower() not in wanted or path.name in CLASS_FILES or not path.is_file():
                continue
            shown = path.relative_to(top).as_posix()
            if _is_beside(path, self._format) or not self.add_file(path, shown, folders):
                self._skipped.append(shown)

    def add_file(self, path: Path, shown: str, folders: _Folders) -> bool:
        """Read one file; False if it is no truth."""
        kind, document = (self._format, None) if self._format else _detect(path, shown, folders)
        parsed = {} if document is None else {"document": document}
        if kind is None:
            return False
        if kind == "voc":
            self._voc.add(path, shown, **parsed)
        elif kind == "yolo":
            self._parts.append(self._read_yolo(path, shown, folders.names_of(path.parent)))
        else:
            self._parts.append(_READERS[kind](path, shown, **parsed))
        return True

    def truth(self) -> Truth:
        return combine([*self._parts, self._voc.truth()], self._skipped)


def _is_beside(path: Path, given_format: str | None) -> bool:
    """Whether a file is read together with its main file, and is no truth by itself."""
    if given_format == "yolo":
        # Darknet's lists of pictures
        return path.with_name("obj.data").is_file() or _is_prose(path, _first_line(path))
    if given_format == "mot":
        return path.name == "labels.txt" and path.parent.name == "gt"
    names = _BESIDE.get(given_format or "", ())
    if given_format == "actev":  # `ref_file-index.json`, `out.file-index.json`
        return path.name.endswith(names)
    return path.name in names


def _detect(path: Path, shown: str, folders: _Folders) -> tuple[str | None, Any]:
    """The format of one file by its place and content, None if it is no truth; and what it holds.

    JSON and XML are parsed for this, and need not be again; of a text the first line is read, and
    None is given.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        first = read_text(path, shown).split("\n", 1)[0]
        return ("spans" if all(name in first for name in COLUMNS) else None), None
    if suffix == ".json":
        data = read_json(path, shown)
        return _json_format(data), data
    if suffix == ".txt":
        return _text_format(path, shown, folders), None
    if suffix == ".xml":
        root = read_xml(path, shown)
        return _xml_format(root), root
    if not path.exists():
        raise TruthError(f"{path}: no such file or folder; check the path of the truth")
    return None, None


def _json_format(data: Any) -> str | None:
    for kind, looks_like in _JSON_KINDS.items():
        if looks_like(data):
            return kind
    entries = data.get("spans") if isinstance(data, dict) else data
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        return None
    return "spans" if "start_s" in entries[0] else None


def _xml_format(root: Element) -> str | None:
    if looks_like_cvat(root):
        return "cvat"
    return "voc" if looks_like_voc(root) else None


def _text_format(path: Path, shown: str, folders: _Folders) -> str | None:
    if path.name.endswith(".mot.txt") or (path.name == "gt.txt" and path.parent.name == "gt"):
        return "mot"
    if not path.is_file():
        read_text(path, shown)  # says why
    first = _first_line(path)
    if looks_like_mot(first):
        return "mot"
    if looks_like_yolo(first):
        return "yolo"
    if _among_labels(path):  # at fault, or a negative
        return None if _is_prose(path, first) else "yolo"
    if first or _is_prose(path, first):
        return None
    pictures = (path.with_suffix(suffix) for suffix in STILL_SUFFIXES)
    beside = any(picture.is_file() for picture in pictures)
    return "yolo" if beside or folders.hold_yolo(path.parent) else None


def _among_labels(path: Path) -> bool:
    folders = path.parts[:-1]
    return "labels" in folders or any(map(_DARKNET.match, folders))


def _is_prose(path: Path, first: str) -> bool:
    """Whether a text is about the data, as Roboflow's `README.dataset.txt`.

    A picture may be called like one: among labels, its label file is told by what it holds.
    """
    if path.name.partition(".")[0].upper() not in _PROSE or looks_like_yolo(first):
        return False
    return bool(first) or not _among_labels(path)


def _first_line(path: Path) -> str:
    """The first line that is not blank, or its beginning; empty where there is none."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            while line := lines.readline(MAX_LINE):
                if line.strip():
                    return line
    except OSError:
        pass  # the format's reader says why
    return ""
