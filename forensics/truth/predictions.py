"""Read other tools' detections: boxes with scores, of named frames of named footage.

Three forms, told by content. COCO results: a list of `image_id, category_id, bbox, score`, pixels;
ids mean what a COCO file lists (then every listed image was looked at), else `file_name` or the id
itself names the picture, `clip.mp4#123` a 0-based frame. Category ids are numbers that only the
COCO file explains: Ultralytics counts them from 1, others from 0. Ultralytics text (`save_txt
save_conf`): `class cx cy w h score`, fractions, in `STEM.txt` for a still and `STEM_N.txt` for
frame N of a video, counted from 1, without `vid_stride`. Ultralytics JSON (`to_json()`), pixels, in
files that are named in the same way; an oriented box becomes the upright one around its corners.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics.errors import TruthError
from forensics.truth.base import MAX_PIXELS, read_text
from forensics.truth.coco import Listing, read_listing
from forensics.truth.values import frame_name, number, numbers, read_json, table, whole, words
from forensics.truth.yolo_names import class_names, parse_names

NO_LISTING = Listing({}, {})
_SUFFIXES = frozenset({".json", ".txt"})
_CORNERS = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True, slots=True)
class Box:
    """One detection; `xyxy` half-open, as the file has it."""

    xyxy: tuple[float, ...]
    score: float
    label: str
    where: str


@dataclass(slots=True)
class FramePredictions:
    """Detections of one frame; an empty list says that nothing was found.

    `frame` is 0-based; None where `name` is a stem that may end in a frame number counted from 1.
    `picture` is set where no frame was named, so that frame 0 is that of a still alone.
    """

    name: str
    frame: int | None
    where: str
    normalised: bool = False
    boxes: list[Box] = field(default_factory=list)
    picture: bool = False


@dataclass(frozen=True, slots=True)
class Predictions:
    """All detections that were given: `files` are the paths they come from.

    `declared` are the classes that a listing or class names know, also those never found.
    """

    frames: tuple[FramePredictions, ...]
    files: tuple[Path, ...]
    declared: tuple[str, ...] = ()

    @property
    def scores(self) -> Iterator[float]:
        return (box.score for frame in self.frames for box in frame.boxes)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(box.label for frame in self.frames for box in frame.boxes))


def load_predictions(
    paths: Sequence[Path], *, listing: Path | None = None, names: Path | None = None
) -> Predictions:
    """Read files and folders of detections.

    `listing` is a COCO file that says what image and category ids mean, `names` a data.yaml with
    class names; without it one beside or above the text files is used. Raises TruthError.
    """
    known = NO_LISTING if listing is None else read_listing(listing, listing.name)
    given = None if names is None else parse_names(read_text(names, names.name), names.name)
    frames: list[FramePredictions] = []
    files: list[Path] = []
    by_folder: dict[Path, tuple[str, ...] | None] = {}
    for path, shown in _find(paths):
        if listing is not None and path.samefile(listing):
            continue
        files.append(path)
        if path.suffix.lower() == ".txt":
            folder = path.parent
            if given is None and folder not in by_folder:
                by_folder[folder] = class_names(folder, folder)
            frames.append(_read_text(path, shown, by_folder.get(folder, given)))
        else:
            frames += _read_json(path, shown, known, given)
    if not files:
        raise TruthError(f"{paths[0]}: holds no .json or .txt; give files of detections")
    held = (known.categories.values(), given or (), *(found or () for found in by_folder.values()))
    declared = tuple(dict.fromkeys(name for names_ in held for name in names_))
    return Predictions((*frames, *_unmentioned(known, frames)), tuple(files), declared)


def _find(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    for path in paths:
        if path.is_dir():
            for found in sorted(path.rglob("*")):
                if found.suffix.lower() in _SUFFIXES and found.name != "classes.txt":
                    yield found, found.relative_to(path).as_posix()
        elif path.suffix.lower() in _SUFFIXES:
            yield path, path.name
        else:
            raise TruthError(f"{path.name}: not .json or .txt; give files of detections")


def _unmentioned(known: Listing, frames: Iterable[FramePredictions]) -> list[FramePredictions]:
    """Images that were listed, so looked at, and of which the results say nothing."""
    seen = {(frame.name, frame.frame) for frame in frames}
    return [
        FramePredictions(name, index, f"the listing's image {key}")
        for key, (name, index) in known.images.items()
        if (name, index) not in seen
    ]


def _read_text(path: Path, shown: str, names: tuple[str, ...] | None) -> FramePredictions:
    frame = FramePredictions(path.stem, None, shown, normalised=True)
    for line_number, line in enumerate(read_text(path, shown).splitlines(), start=1):
        where, values = f"{shown}:{line_number}", line.split()
        if not values:
            continue
        if len(values) == 5:
            raise TruthError(f"{where}: no score; save with save_conf=True")
        if len(values) not in {6, 7}:  # the seventh is the number of a track
            raise TruthError(f"{where}: {len(values)} values; expected class cx cy w h score")
        label = _class_name(whole(values[0], where, "class"), names, where)
        cx, cy, width, height = (number(value, where, "box") for value in values[1:5])
        xyxy = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
        frame.boxes.append(Box(_usable(xyxy, where), _score(values[5], where), label, where))
    return frame


def _read_json(
    path: Path, shown: str, known: Listing, names: tuple[str, ...] | None
) -> list[FramePredictions]:
    data = read_json(path, shown)
    if not isinstance(data, list):
        raise TruthError(
            f"{shown}: not a list of detections; give COCO results or what Ultralytics' to_json() "
            "returns, a file per frame"
        )
    if any(isinstance(entry, dict) and "image_id" in entry for entry in data):
        return _coco_results(data, shown, known, names)
    if not data and known.images:
        return []
    frame = FramePredictions(path.stem, None, shown)
    frame.boxes += (_ultralytics(entry, f"{shown}[{n}]") for n, entry in enumerate(data))
    if frame.boxes and all(max(box.xyxy) <= 1 for box in frame.boxes):
        raise TruthError(
            f"{shown}: all boxes are smaller than a pixel; save without normalize=True"
        )
    return [frame]


def _coco_results(
    data: list[Any], shown: str, known: Listing, names: tuple[str, ...] | None
) -> list[FramePredictions]:
    frames: dict[tuple[str, int | None], FramePredictions] = {}
    for place, given in enumerate(data):
        where = f"{shown}[{place}]"
        entry = table(given, where, "it")
        name, index = _image(entry, known, where)
        new = FramePredictions(name, index or 0, where, picture=index is None)
        frame = frames.setdefault((name, index), new)
        x, y, width, height = numbers(entry.get("bbox"), 4, where, "bbox")
        xyxy = _usable((x, y, x + width, y + height), where)
        label = _category(entry.get("category_id"), known, names, where)
        frame.boxes.append(Box(xyxy, _score(entry.get("score"), where), label, where))
    return list(frames.values())


def _image(entry: Mapping[str, Any], known: Listing, where: str) -> tuple[str, int | None]:
    key = entry.get("image_id")
    if known.images:
        if not isinstance(key, int | str) or key not in known.images:
            raise TruthError(f"{where}: its image_id is not in the listing; add it there")
        return known.images[key]
    named = entry.get("file_name", key)
    if not isinstance(named, str):
        raise TruthError(
            f"{where}: its image_id is no name; give the COCO file that lists the "
            "images (--listing)"
        )
    return frame_name(words(named, where, "image_id"))


def _category(key: Any, known: Listing, names: tuple[str, ...] | None, where: str) -> str:
    if known.categories:
        if not isinstance(key, int | str) or key not in known.categories:
            raise TruthError(f"{where}: its category_id is not in the listing; add it there")
        return known.categories[key]
    if names is not None:
        raise TruthError(
            f"{where}: --names cannot say what a category_id of COCO results means, as Ultralytics "
            "counts them from 1 and others from 0; give the COCO file (--listing), or neither and "
            "the numbers as classes"
        )
    return _class_name(whole(key, where, "category_id"), names, where)


def _class_name(key: int, names: tuple[str, ...] | None, where: str) -> str:
    if names is None:
        return str(key)
    if key >= len(names):
        raise TruthError(f"{where}: class {key}, but only {len(names)} classes are named")
    return names[key]


def _ultralytics(given: Any, where: str) -> Box:
    entry = table(given, where, "it")
    held = table(entry.get("box"), where, "box")
    if "x3" in held:
        corners = [
            [number(held.get(f"{axis}{n}"), where, f"{axis}{n}") for n in range(1, 5)]
            for axis in "xy"
        ]
        xyxy = (*map(min, corners), *map(max, corners))
    else:
        xyxy = tuple(number(held.get(corner), where, corner) for corner in _CORNERS)
    label = words(entry.get("name"), where, "name")
    return Box(_usable(xyxy, where), _score(entry.get("confidence"), where), label, where)


def _score(value: Any, where: str) -> float:
    score = number(value, where, "score")
    if not 0 <= score <= 1:
        raise TruthError(f"{where}: score {score:g} does not lie between 0 and 1; correct it")
    return score


def _usable(xyxy: tuple[float, ...], where: str) -> tuple[float, ...]:
    if not all(abs(value) <= MAX_PIXELS for value in xyxy):
        raise TruthError(f"{where}: box has a coordinate out of range; correct it")
    return xyxy
