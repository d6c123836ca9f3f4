"""Read a data set config (TOML): which pictures and footage, whose labels, which names are ours.

Every sample that cannot be used is listed with its file and line and left out.
"""

from __future__ import annotations

import fnmatch
import hashlib
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.errors import TrainingError, TruthError
from forensics.truth.yolo import read_yolo
from forensics.types import STILL_SUFFIXES, VIDEO_SUFFIXES

SCHEMA = 1
KEYS = frozenset({"schema", "classes", "seed", "val_share", "source", "compose", "train"})
WHOLE = np.array([[0.0, 0.0, 1.0, 1.0]])


@dataclass(frozen=True, slots=True)
class Source:
    """One source of pictures. Paths are absolute.

    `images` (with `labels`, YOLO txt; without: nothing of ours is on them) or `footage` (free of
    targets; a frame each `every_s`). `names` are the class names of its labels, `rename` maps them
    to ours; labels of other names are dropped. `leave_out`: patterns of
    names, or of paths below the source's folder, that are not used.
    `decoys`: names of labels whose objects are pasted as decoys; "*" means whole pictures.
    `stretched`: its pictures were squeezed to a square. `whole`: the share of its pictures that
    is also trained on as it is, not only inside compositions.
    """

    name: str
    images: Path | None
    labels: Path | None
    footage: Path | None
    every_s: float
    names: tuple[str, ...] | None
    rename: dict[str, str]
    leave_out: tuple[str, ...]
    decoys: tuple[str, ...]
    stretched: bool
    whole: float


@dataclass(frozen=True, slots=True)
class Sample:
    """A labelled still: `xyxy` float64 (n, 4), fractions of the picture; `class_id` int64 (n,).

    `decoy_xyxy` float64 (m, 4): objects that are often taken for ours.
    """

    path: Path
    source: Source
    xyxy: NDArray[np.float64]
    class_id: NDArray[np.int64]
    decoy_xyxy: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Problem:
    """A file, or a line of it, that was left out, and why."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class DataConfig:
    """A data set config, checked."""

    classes: tuple[str, ...]
    sources: tuple[Source, ...]
    seed: int
    val_share: float
    compose: dict[str, Any]
    train: dict[str, Any]
    sha256: str


@dataclass(slots=True)
class Problems:
    """Collects what was left out."""

    items: list[Problem] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        self.items.append(Problem(where, what))


def load_config(path: Path, root: Path) -> DataConfig:
    """Read a data set config; its paths are relative to `root`. Raises TrainingError."""
    try:
        raw = path.read_bytes()
        table = tomllib.loads(raw.decode())
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path} is not valid TOML: {error}") from error
    try:
        return _config(table, root, path.name, hashlib.sha256(raw).hexdigest())
    except (TypeError, ValueError, AttributeError) as error:  # what a value of another kind raises
        raise TrainingError(f"{path.name}: a value is not of its kind ({error})") from error


def _config(table: dict[str, Any], root: Path, shown: str, sha256: str) -> DataConfig:
    if table.get("schema") != SCHEMA:
        raise TrainingError(f"{shown}: schema is not {SCHEMA}")
    if strangers := set(table) - KEYS:
        raise TrainingError(f"{shown}: unknown keys {', '.join(sorted(strangers))}")
    classes = _names(table.get("classes", []))
    if not classes or len(set(classes)) != len(classes):
        raise TrainingError(f"{shown}: classes is empty or repeats a name")
    sources = tuple(_source(entry, root, classes, shown) for entry in table.get("source", []))
    if not sources:
        raise TrainingError(f"{shown}: no [[source]]; say where the pictures are")
    return DataConfig(
        classes=classes,
        sources=sources,
        seed=int(table.get("seed", 0)),
        val_share=float(table.get("val_share", 0.05)),
        compose=_compose(dict(table.get("compose", {})), shown),
        train=dict(table.get("train", {})),
        sha256=sha256,
    )


def _names(value: Any) -> tuple[str, ...]:
    """A list of names; a single string would fall apart into letters."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"{value!r} is not a list of names")
    return tuple(value)


def _compose(table: dict[str, Any], shown: str) -> dict[str, Any]:
    """Check what is to be composed: `grids` (cells per side -> how many) and `pastes`."""
    if strangers := set(table) - {"grids", "pastes"}:
        raise TrainingError(f"{shown}, [compose]: unknown keys {', '.join(sorted(strangers))}")
    grids = [(int(k), int(count)) for k, count in table.get("grids", {}).items()]
    if any(k < 1 or count < 0 for k, count in [*grids, (1, int(table.get("pastes", 0)))]):
        raise TrainingError(f"{shown}, [compose]: a number is too small")
    return table


def _source(entry: dict[str, Any], root: Path, classes: tuple[str, ...], shown: str) -> Source:
    name = str(entry.get("name", "?"))
    where = f"{shown}, source {name}"
    known = {"name", "images", "labels", "footage", "every_s", "names", "map", "leave_out"}
    if strangers := set(entry) - known - {"decoys", "stretched", "whole"}:
        raise TrainingError(f"{where}: unknown keys {', '.join(sorted(strangers))}")
    if ("images" in entry) == ("footage" in entry):
        raise TrainingError(f"{where}: give images or footage, one of them")
    names = _names(entry["names"]) if "names" in entry else None
    decoys = _names(entry.get("decoys", []))
    rename = dict(entry.get("map", {}))
    if unknown := set(rename.values()) - set(classes):
        raise TrainingError(f"{where}: maps to {', '.join(sorted(unknown))}, not among the classes")
    if names is not None and (unknown := set(rename) - set(names)):
        raise TrainingError(f"{where}: maps {', '.join(sorted(unknown))}, not among its names")
    if names is not None and (unknown := set(decoys) - set(names) - {"*"}):
        raise TrainingError(f"{where}: decoys {', '.join(sorted(unknown))}, not among its names")
    paths = {key: root / entry[key] for key in ("images", "labels", "footage") if key in entry}
    for path in paths.values():
        if not path.is_dir():
            raise TrainingError(f"{where}: no folder {path}; set --data-root to where the data is")
    return Source(
        name=name,
        images=paths.get("images"),
        labels=paths.get("labels"),
        footage=paths.get("footage"),
        every_s=float(entry.get("every_s", 1.0)),
        names=names,
        rename=rename,
        leave_out=_names(entry.get("leave_out", [])),
        decoys=decoys,
        stretched=bool(entry.get("stretched", False)),
        whole=float(entry.get("whole", 1.0)),
    )


def read_samples(config: DataConfig, problems: Problems) -> Iterator[Sample]:
    """Yield the stills of all sources, by source and name; what cannot be used is listed."""
    for source in config.sources:
        if source.images is not None:
            yield from _source_samples(source, source.images, config.classes, problems)


def source_footage(source: Source) -> list[Path]:
    """The videos of a footage source, by name."""
    return [] if source.footage is None else _files(source, source.footage, VIDEO_SUFFIXES)


def _source_samples(
    source: Source, folder: Path, classes: tuple[str, ...], problems: Problems
) -> Iterator[Sample]:
    pictures = _files(source, folder, STILL_SUFFIXES)
    for path in pictures:
        if source.labels is None:
            decoys = WHOLE if "*" in source.decoys else WHOLE[:0]
            yield Sample(path, source, np.empty((0, 4)), np.empty(0, np.int64), decoys)
            continue
        label = (source.labels / path.relative_to(folder)).with_suffix(".txt")
        if not label.is_file():
            problems.add(f"{source.name}/{path.name}", "no label file; left out")
            continue
        sample = _labelled(path, label, source, classes, problems)
        if sample is not None:
            yield sample
    if source.labels is not None:
        known = {path.relative_to(folder).with_suffix("") for path in pictures}
        _orphans(source, source.labels, known, problems)


def _orphans(source: Source, labels: Path, known: set[Path], problems: Problems) -> None:
    """List label files whose picture is missing."""
    for label in sorted(labels.rglob("*.txt")):
        stem = label.relative_to(labels).with_suffix("")
        if stem not in known and not _left_out(source, label.relative_to(labels)):
            problems.add(f"{source.name}/{label.name}", "a label file without a picture")


def _files(source: Source, folder: Path, suffixes: frozenset[str]) -> list[Path]:
    found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes)
    kept = (path for path in found if not _left_out(source, path.relative_to(folder)))
    return [path for path in kept if path.is_file()]


def _left_out(source: Source, path: Path) -> bool:
    names = (path.name, path.as_posix())
    return any(fnmatch.fnmatchcase(n, pattern) for n in names for pattern in source.leave_out)


def _labelled(
    path: Path, label: Path, source: Source, classes: tuple[str, ...], problems: Problems
) -> Sample | None:
    shown = f"{source.name}/{label.name}"
    try:
        truth = read_yolo(label, shown, source.names)
    except TruthError as error:
        problems.add(shown, f"{error}; the picture is left out")
        return None
    media = truth.media[0]
    for problem in truth.problems:
        problems.add(problem.where, problem.what)
    if media.ignored.any():
        return None
    ours = [source.rename.get(name) for name in media.boxes.label]
    kept = [place for place, name in enumerate(ours) if name is not None]
    ids = [classes.index(name) for name in ours if name is not None]
    xyxy = np.clip(media.boxes.xyxy, 0.0, 1.0)
    decoys = [place for place, name in enumerate(media.boxes.label) if name in source.decoys]
    return Sample(path, source, xyxy[kept], np.asarray(ids, np.int64), xyxy[decoys])


def class_counts(samples: Sequence[Sample], classes: Sequence[str]) -> dict[str, int]:
    """Labelled boxes of each class."""
    ids = np.concatenate([sample.class_id for sample in samples] or [np.empty(0, np.int64)])
    return {name: int((ids == number).sum()) for number, name in enumerate(classes)}
