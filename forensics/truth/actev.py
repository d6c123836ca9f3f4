"""ActEV activity JSON with its file index: when activities happen in which file.

Frames count from 1 and become seconds by the file index's `framerate`, per file: (frame - 1) /
framerate, from the file's first frame on, so that a container's start offset or a variable frame
rate is not accounted for. The signal of an activity is 1 from its start to its end frame, which is
outside. Where the index says `selected`, the file was judged: what holds no activity there is a
`none` span; activities are cut to it. Boxes of objects are not read; that is listed.

The index stands beside the activities: `X.file-index.json` or `X_file-index.json` for `X.json`,
else the folder's only `*file-index*.json`. An activity index found in the same way declares the
classes, also those of which there is no instance. `presenceConf` is not used: what is listed counts
as true. NIST's scorer uses the file index for durations only and does not cut to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics.errors import TruthError
from forensics.truth.base import NONE, MediaBuilder, Problem, Span, Truth
from forensics.truth.values import flag, items, number, read_json, table, whole, words

Entry = Mapping[str, Any]
Bounds = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the index: 1-based half-open frame bounds that were judged."""

    framerate: float
    selected: tuple[Bounds, ...]

    def seconds(self, frame: int) -> float:
        return (frame - 1) / self.framerate


@dataclass(slots=True)
class _Reader:
    shown: str
    index: dict[str, _File]
    builders: dict[str, MediaBuilder]
    labels: dict[str, None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    with_boxes: int = 0

    def add(self, entry: Entry, where: str) -> None:
        label = words(entry.get("activity"), where, "activity")
        if label in {NONE, "ignore"}:
            raise TruthError(f"{where}: an activity cannot be called {label}; rename it")
        self.with_boxes += bool(entry.get("objects"))
        localisation = table(entry.get("localization"), where, "localization")
        for name, signal in localisation.items():
            if name not in self.builders:
                raise TruthError(f"{where}: {name} is not in filesProcessed; add it")
            for bounds in _bounds(table(signal, where, name), where):
                self._add_span(name, label, bounds, where)

    def _add_span(self, name: str, label: str, bounds: Bounds, where: str) -> None:
        file = self.index[name]
        kept = [b for b in (_cut(bounds, judged) for judged in file.selected) if b is not None]
        if sum(stop - start for start, stop in kept) < bounds[1] - bounds[0]:
            what = "reaches beyond what the file index selects; cut to it"
            self.problems.append(Problem(where, f"frames {bounds[0]} to {bounds[1]}: {what}"))
        for start, stop in kept:
            span = Span(file.seconds(start), file.seconds(stop), label, False, where)
            self.builders[name].add_span(span)
            self.labels[label] = None


def read_actev(
    path: Path, shown: str, index: Path | None = None, *, document: Any = None
) -> Truth:
    """Read activities; `shown` is the path as messages name it, `index` the file index."""
    data = read_json(path, shown) if document is None else document
    if not looks_like_actev(data):
        raise TruthError(f"{shown}: no `activities` with `filesProcessed`; give an ActEV file")
    index = index or _index_beside(path, shown)
    files = _read_index(index)
    builders: dict[str, MediaBuilder] = {}
    for entry in items(data["filesProcessed"], shown, "filesProcessed"):
        name = words(entry, shown, "an entry of filesProcessed")
        if name not in files:
            raise TruthError(f"{shown}: {name} is not in {index.name}; add it there")
        builders[name] = _judged(name, files[name], shown, index)
    reader = _Reader(shown, files, builders)
    for place, activity in enumerate(items(data["activities"], shown, "activities")):
        where = f"{shown}: activities[{place}]"
        reader.add(table(activity, where, "it"), where)
    if reader.with_boxes:
        what = f"boxes of the objects of {reader.with_boxes} activities are not read"
        reader.problems.append(Problem(shown, what))
    return Truth(
        media=tuple(builder.build() for builder in builders.values()),
        classes=(*reader.labels, NONE) if builders else (),
        declared=_declared(path),
        sources=(shown,),
        problems=tuple(reader.problems),
    )


def looks_like_actev(data: object) -> bool:
    """Whether parsed JSON has the sections of an ActEV file."""
    return isinstance(data, dict) and "activities" in data and "filesProcessed" in data


def _judged(name: str, file: _File, shown: str, index: Path) -> MediaBuilder:
    """A builder that knows what of the file was looked at."""
    builder = MediaBuilder(name, shown)
    for start, stop in file.selected:
        where = f"{index.name}: {name}"
        builder.add_span(Span(file.seconds(start), file.seconds(stop), NONE, False, where))
    return builder


def _beside(path: Path, kind: str) -> list[Path]:
    """The index of that kind that is named after the activities, else all in their folder."""
    for mark in (".", "_", "-"):
        candidate = path.with_name(f"{path.stem}{mark}{kind}.json")
        if candidate.is_file():
            return [candidate]
    return sorted(path.parent.glob(f"*{kind}*.json"))


def _declared(path: Path) -> tuple[str, ...]:
    """Classes that the activity index lists; none where there is no index, or several."""
    found = _beside(path, "activity-index")
    if len(found) != 1:
        return ()
    where = found[0].name
    index = table(read_json(found[0], where), where, "the activity index")
    return tuple(words(name, where, "an activity") for name in index)


def _index_beside(path: Path, shown: str) -> Path:
    found = _beside(path, "file-index")
    if len(found) != 1:
        raise TruthError(
            f"{shown}: {len(found)} file indices beside it; put the one that belongs to it there "
            f"as {path.stem}.file-index.json"
        )
    return found[0]


def _read_index(path: Path) -> dict[str, _File]:
    files = {}
    for name, entry in table(read_json(path, path.name), path.name, "the file index").items():
        where = f"{path.name}: {name}"
        facts = table(entry, where, "it")
        framerate = number(facts.get("framerate"), where, "framerate")
        if not 0.001 <= framerate <= 10_000:
            raise TruthError(f"{where}: framerate {framerate:g} is out of range; correct it")
        selected = _bounds(table(facts.get("selected"), where, "selected"), where)
        files[name] = _File(framerate, tuple(selected))
    return files


def _bounds(signal: Entry, where: str) -> list[Bounds]:
    """Half-open bounds in which a signal, given where it changes, is 1. Frame 0 means frame 1."""
    changes = sorted(
        (whole(frame, where, "frame"), flag(on, where, frame)) for frame, on in signal.items()
    )
    bounds, start = [], 0
    for frame, on in changes:
        if on and not start:
            start = max(frame, 1)
        elif not on and start:
            bounds.append((start, frame))
            start = 0
    if start:
        raise TruthError(f"{where}: the signal that begins at frame {start} never ends; add a 0")
    return [(first, last) for first, last in bounds if last > first]


def _cut(bounds: Bounds, to: Bounds) -> Bounds | None:
    start, stop = max(bounds[0], to[0]), min(bounds[1], to[1])
    return (start, stop) if start < stop else None
