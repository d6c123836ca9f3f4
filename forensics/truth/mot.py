"""MOTChallenge text: `frame,id,left,top,width,height,flag,...`; frame 1 of the file is frame 0.

Names: `clip.mot.txt` describes the footage with stem `clip`; `SEQUENCE/gt/gt.txt` the one named
like its folder. `clip.seqinfo.ini` or `seqinfo.ini` beside it gives length, size and file. Nine
columns carry a class number (MOT16 and later); ten columns do not (MOT15: one class). It counts the
names in `gt/labels.txt` beside `gt/gt.txt`, as CVAT and Datumaro write it, or else (and always for
`clip.mot.txt`) MOTChallenge's own. A row with flag 0 is an ignore region. Every frame up to the
sequence's length counts as looked at; without `seqinfo.ini` (CVAT writes none) the last row's frame
ends it.

Pixels are taken as written. MOTChallenge says that its boxes count from 1, CVAT, Datumaro and
TrackEval count from 0, and no file says which: boxes of MOTChallenge itself may be a pixel off.
"""

from __future__ import annotations

import configparser
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import TruthError
from forensics.truth.base import MAX_FRAMES, MAX_INDEX, MediaBuilder, Truth, clean_name, read_text
from forensics.truth.yolo_names import one_a_line

CLASS_NAMES = (
    *("person", "person on vehicle", "car", "bicycle", "motorbike", "non motorized vehicle"),
    *("static person", "distractor", "occluder", "occluder on the ground", "occluder full"),
    *("reflection", "crowd"),
)


@dataclass(frozen=True, slots=True)
class _Sequence:
    name: str
    length: int
    size: tuple[float, float] | None
    single_class: str
    suffix_known: bool
    classes: tuple[str, ...]


def read_mot(path: Path, shown: str) -> Truth:
    """Read one MOT ground-truth file; `shown` is the path as messages name it."""
    sequence = _sequence(path, shown)
    builder = MediaBuilder(sequence.name, shown, suffix_known=sequence.suffix_known)
    labels: dict[str, None] = {}
    last = sequence.length
    for where, values in _rows(read_text(path, shown), shown):
        frame = _whole(values[0], where, "frame")
        if frame > MAX_FRAMES:
            raise TruthError(f"{where}: frame {frame} is beyond any footage; correct it")
        label = _label(values, sequence, where)
        left, top, width, height = values[2:6]
        builder.add_box(
            frame - 1,
            (left, top, left + width, top + height),
            label,
            where,
            ignore=len(values) > 6 and values[6] == 0,
            size=sequence.size,
        )
        labels[label] = None
        last = max(last, frame)
    builder.add_all(range(last))
    return Truth(
        media=(builder.build(),),
        classes=tuple(labels),
        declared=sequence.classes if sequence.classes != CLASS_NAMES else (),
        sources=(shown,),
        problems=tuple(builder.problems),
    )


def looks_like_mot(line: str) -> bool:
    """Whether a line has the shape of a MOT row."""
    parts = line.split(",")
    if not 6 <= len(parts) <= 10:
        return False
    try:
        return all(math.isfinite(float(part)) for part in parts)
    except ValueError:
        return False


def _rows(text: str, shown: str) -> Iterator[tuple[str, list[float]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{shown}:{number}"
        try:
            values = [float(part) for part in line.split(",")]
        except ValueError as error:
            raise TruthError(f"{where}: a value is not a number; correct the line") from error
        if not 6 <= len(values) <= 10 or len(values) == 8:  # the eighth may be a class or an x
            raise TruthError(f"{where}: {len(values)} values; a MOT row has 6, 7, 9 or 10")
        yield where, values


def _whole(value: float, where: str, name: str) -> int:
    if not math.isfinite(value) or value != int(value) or not 1 <= value <= MAX_INDEX:
        raise TruthError(f"{where}: {name} is {value:g}; MOT counts whole numbers from 1")
    return int(value)


def _label(values: list[float], sequence: _Sequence, where: str) -> str:
    if len(values) != 9 or values[7] == -1:
        return sequence.single_class
    number = _whole(values[7], where, "class")
    if number > len(sequence.classes):
        raise TruthError(
            f"{where}: class {number} has no name; they are 1 to {len(sequence.classes)}"
        )
    return sequence.classes[number - 1]


def _sequence(path: Path, shown: str) -> _Sequence:
    path = Path(os.path.abspath(path))  # its folders name the footage
    in_gt_folder = path.name == "gt.txt" and path.parent.name == "gt"
    folder = path.parent.parent if in_gt_folder else path.parent
    stem = folder.name if in_gt_folder else path.name.removesuffix(".txt").removesuffix(".mot")
    classes = _classes(path.with_name("labels.txt")) if in_gt_folder else CLASS_NAMES
    for info in (folder / f"{stem}.seqinfo.ini", folder / "seqinfo.ini"):
        if info.is_file():
            return _from_info(info, stem, shown, classes)
    return _Sequence(stem, 0, None, CLASS_NAMES[0], suffix_known=False, classes=classes)


def _classes(path: Path) -> tuple[str, ...]:
    """Names of the class numbers, from 1: those of `labels.txt`, else MOTChallenge's."""
    if not path.is_file():
        return CLASS_NAMES
    return one_a_line(read_text(path, path.name), path.name)


def _from_info(info: Path, stem: str, shown: str, classes: tuple[str, ...]) -> _Sequence:
    parser = configparser.ConfigParser(interpolation=None)
    where = f"{info.name} (beside {shown})"
    try:
        parser.read_string(read_text(info, where))
        if "Sequence" not in parser:
            raise TruthError(f"{where}: no section [Sequence]; put that line first")
        section = parser["Sequence"]
        length = section.getint("seqLength", 0)
        width, height = section.getint("imWidth", 0), section.getint("imHeight", 0)
    except configparser.MissingSectionHeaderError as error:
        raise TruthError(f"{where}: no section [Sequence]; put that line first") from error
    except (configparser.Error, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise TruthError(f"{where}: {said}; correct it or take it away") from error
    if not 0 <= length <= MAX_FRAMES or min(width, height) < 0:
        raise TruthError(f"{where}: a length or size is out of range; correct it")
    file_name = clean_name(section.get("file", ""))
    return _Sequence(
        name=file_name or stem,
        length=length,
        size=(float(width), float(height)) if width and height else None,
        single_class=section.get("className", CLASS_NAMES[0]).strip(),
        suffix_known=bool(file_name),
        classes=classes,
    )
