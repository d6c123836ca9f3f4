"""YOLO text labels of still images: `class cx cy width height`, fractions of the picture.

`.../labels/a.txt` describes `.../images/a.*`; elsewhere, as in Darknet's `obj_train_data`, which
CVAT and Datumaro write, `a.txt` describes the picture beside it. An empty label file says that
nothing is there; an image without a label file is not in this truth at all. Class names come from
`data.yaml` (only its `names` are read, nothing is executed) or `classes.txt`; without either, a
class is called by its number. Polygons (`class x y x y x y ...`) become their bounding boxes.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path, PurePosixPath

from forensics.errors import TruthError
from forensics.truth.base import MediaBuilder, Problem, Truth, clean_name, read_text

_KEY = re.compile(r"""^\s*(?:"(?P<d>\d+)"|'(?P<s>\d+)'|(?P<p>\d+))\s*:\s*(?P<value>.+)$""")
_UNIT = (1.0, 1.0)
_YAML_FILES = ("data.yaml", "data.yml", "dataset.yaml")
_LINE_FILES = ("obj.names", "classes.txt")
CLASS_FILES = frozenset({*_YAML_FILES, *_LINE_FILES})
"""Names of the files that name the classes; they are no labels themselves."""


def read_yolo(path: Path, shown: str, names: tuple[str, ...] | None) -> Truth:
    """Read one label file; `names` as returned by `class_names`."""
    builder = MediaBuilder(_media_name(path), shown, suffix_known=False, normalised=True)
    builder.add_frame(0)
    labels: dict[str, None] = {}
    for number, line in enumerate(read_text(path, shown).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{shown}:{number}"
        values = _values(line, where)
        label = _class_name(values[0], names, where)
        builder.add_box(0, _xyxy(values[1:]), label, where, size=_UNIT)
        labels[label] = None
    return Truth(
        media=(builder.build(),),
        classes=tuple(labels),
        declared=names or (),
        sources=(shown,),
        problems=tuple(builder.problems),
    )


def read_yolo_or_ignore(path: Path, shown: str, names: tuple[str, ...] | None) -> Truth:
    """As `read_yolo`, but a file at fault makes a problem, and its image is to be ignored."""
    try:
        return read_yolo(path, shown, names)
    except TruthError as error:
        builder = MediaBuilder(_media_name(path), shown, suffix_known=False, normalised=True)
        builder.add_frame(0, ignore=True)
        where, what = str(error).split(": ", 1)
        problem = Problem(where, f"{what}; its image is ignored")
        return Truth((builder.build(),), declared=names or (), problems=(problem,))


def looks_like_yolo(line: str) -> bool:
    """Whether a line has the shape of a YOLO label."""
    parts = line.split()
    if len(parts) < 5 or not parts[0].isdigit():
        return False
    try:
        return all(-0.5 <= float(part) <= 1.5 for part in parts[1:5])
    except ValueError:
        return False


def class_names(labels_folder: Path, top: Path) -> tuple[str, ...] | None:
    """Class names that belong to a folder of labels, searched upward to the parent of `top`.

    `data.yaml` comes before `dataset.yaml`, `obj.names` and `classes.txt`; None if there is none.
    """
    last = Path(os.path.abspath(top)).parent
    folder = Path(os.path.abspath(labels_folder))
    while True:
        for name in _YAML_FILES:
            if (folder / name).is_file():
                return parse_names(read_text(folder / name, name), name)
        for name in _LINE_FILES:
            if (folder / name).is_file():
                lines = read_text(folder / name, name).splitlines()
                return tuple(line.strip() for line in lines if line.strip())
        if folder in (last, folder.parent):
            return None
        folder = folder.parent


def parse_names(text: str, shown: str) -> tuple[str, ...]:
    """Read the `names` of a data.yaml: a list or a mapping from number to name, either style."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        raise TruthError(f"{shown}: no `names`; add them, or delete the file and map numbers")
    inline = _uncomment(lines[start].split(":", 1)[1]).strip()
    names = _flow(inline, lines[start + 1 :]) if inline else _block(lines[start + 1 :])
    if not names or sorted(names) != list(range(len(names))):
        raise TruthError(f"{shown}: cannot read `names`; write them as a list, one `- name` a line")
    return tuple(names[number] for number in range(len(names)))


def _block(lines: list[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    for line in map(_uncomment, lines):
        item = re.match(r"\s*-\s+(.+)$", line)
        key = _KEY.match(line)
        if item:
            names[len(names)] = _unquote(item[1])
        elif key and line[0].isspace():
            names[int(key["d"] or key["s"] or key["p"])] = _unquote(key["value"])
        elif line.strip():
            break
    return names


def _flow(first: str, rest: list[str]) -> dict[int, str]:
    closing = {"[": "]", "{": "}"}.get(first[0], "")
    whole = " ".join([first, *map(_uncomment, rest)])
    if not closing or closing not in whole:
        return {}
    inner = whole[1 : whole.index(closing)]
    parts = [part for part in re.findall(r"""\s*((?:'[^']*'|"[^"]*"|[^,'"])+)""", inner)]
    names: dict[int, str] = {}
    for part in filter(None, (part.strip() for part in parts)):
        key = _KEY.match(part)
        if closing == "]":
            names[len(names)] = _unquote(part)
        elif key:
            names[int(key["d"] or key["s"] or key["p"])] = _unquote(key["value"])
        else:
            return {}
    return names


def _uncomment(line: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", line).rstrip()


def _unquote(value: str) -> str:
    value = value.strip()
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _values(line: str, where: str) -> list[float]:
    try:
        values = [float(part) for part in line.split()]
    except ValueError as error:
        raise TruthError(f"{where}: a value is not a number; correct the line") from error
    if len(values) == 6:
        raise TruthError(f"{where}: six values are a prediction with its score; give the labels")
    if len(values) < 5 or len(values) % 2 == 0:
        raise TruthError(f"{where}: {len(values)} values; a YOLO label has class cx cy w h")
    return values


def _class_name(value: float, names: tuple[str, ...] | None, where: str) -> str:
    if not math.isfinite(value) or value != int(value) or not 0 <= value < 1_000_000:
        raise TruthError(f"{where}: class {value:g} is not a class number; correct the line")
    if names is None:
        return str(int(value))
    if value >= len(names):
        raise TruthError(f"{where}: class {int(value)}, but only {len(names)} classes are named")
    return names[int(value)]


def _xyxy(values: list[float]) -> tuple[float, float, float, float]:
    if len(values) > 4:
        return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
    cx, cy, width, height = values
    return cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2


def _media_name(path: Path) -> str:
    """The image's path without its extension: the last folder `labels` becomes `images`."""
    parts = list(PurePosixPath(clean_name(path.absolute().as_posix())).parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "labels":
            parts[place] = "images"
            break
    return str(PurePosixPath(*parts).with_suffix("")) if path.suffix else "/".join(parts)
