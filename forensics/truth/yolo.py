"""YOLO text labels of still images: `class cx cy width height`, fractions of the picture.

`.../labels/a.txt` describes `.../images/a.*`; elsewhere, as in Darknet's `obj_train_data`, which
CVAT and Datumaro write, `a.txt` describes the picture beside it. An empty label file says that
nothing is there; an image without a label file is not in this truth at all. Class names come from
`data.yaml` or `classes.txt` (yolo_names.py); without either, a class is called by its number, and
labels of poses cannot be told from polygons. Polygons (`class x y x y x y ...`) become their
bounding boxes.
"""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath

from forensics.errors import TruthError
from forensics.truth.base import MediaBuilder, Problem, Truth, clean_name, read_text

_UNIT = (1.0, 1.0)


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
