"""MegaDetector batch output 1.x (up to 1.6) used as truth: JSON, boxes as fractions.

`frame_number` and `frames_processed` count from 0; `bbox` is x, y, width, height as fractions of
the picture. Every file without `failure` was looked at: a still in its one frame, a video in
`frames_processed`. Times are not taken from here: one `frame_rate` per file cannot say when the
frames of footage with a variable rate are shown, so frames are joined by number. `conf` is not
used: what is listed counts as true. As additions of our own, `ignore` and `planted` may stand on
a detection, and `frames_ignored` beside `frames_processed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics.errors import TruthError
from forensics.truth.base import MediaBuilder, Problem, Truth, clean_name
from forensics.truth.values import flag, items, numbers, read_json, table, whole, words

Entry = Mapping[str, Any]
_UNIT = (1.0, 1.0)


@dataclass(slots=True)
class _Reader:
    shown: str
    categories: dict[str, str]
    builders: dict[str, MediaBuilder] = field(default_factory=dict)
    labels: dict[str, None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, entry: Entry, where: str) -> None:
        name = clean_name(words(entry.get("file"), where, "file"))
        if name in self.builders:
            raise TruthError(f"{where}: {name} is listed twice; keep one")
        if entry.get("failure"):
            self.problems.append(Problem(where, f"{name} was not processed; it has no labels"))
            return
        builder = MediaBuilder(name, self.shown, normalised=True)
        video = "frames_processed" in entry
        frames = {0}
        if video:
            frames = self._frames(entry, "frames_processed", where)
        for frame in frames:
            builder.add_frame(frame)
        for frame in self._frames(entry, "frames_ignored", where):
            builder.add_frame(frame, ignore=True)
        detections = items(entry.get("detections"), where, "detections")
        for place, detection in enumerate(detections):
            there = f"{where}, detection {place}"
            self._detection(builder, frames, table(detection, there, "it"), there)
        self.builders[name] = builder

    def _frames(self, entry: Entry, name: str, where: str) -> set[int]:
        said = items(entry.get(name, []), where, name)
        return {whole(value, where, name) for value in said}

    def _detection(self, builder: MediaBuilder, frames: set[int], entry: Entry, where: str) -> None:
        label = self.categories.get(str(entry.get("category")))
        if label is None:
            raise TruthError(
                f"{where}: category {str(entry.get('category'))[:60]!r} is not in "
                "detection_categories; add it"
            )
        frame = whole(entry.get("frame_number", 0), where, "frame_number")
        if frame not in frames:
            raise TruthError(
                f"{where}: frame {frame} is not among its frames_processed; a video needs that "
                "list (format 1.4 or later)"
            )
        self.labels[label] = None
        x, y, width, height = numbers(entry.get("bbox"), 4, where, "bbox")
        builder.add_box(
            frame,
            (x, y, x + width, y + height),
            label,
            where,
            ignore=flag(entry.get("ignore"), where, "ignore"),
            planted=flag(entry.get("planted"), where, "planted"),
            size=_UNIT,
        )


def read_megadetector(path: Path, shown: str, *, document: Any = None) -> Truth:
    """Read one MegaDetector file; `shown` is the path as messages name it."""
    data = read_json(path, shown) if document is None else document
    if not looks_like_megadetector(data):
        raise TruthError(f"{shown}: no `images` with `detection_categories`; give such a file")
    categories = table(data["detection_categories"], shown, "detection_categories")
    names = {key: words(name, shown, "a category") for key, name in categories.items()}
    reader = _Reader(shown, names)
    for place, entry in enumerate(items(data["images"], shown, "images")):
        where = f"{shown}: images[{place}]"
        reader.add(table(entry, where, "it"), where)
    builders = reader.builders.values()
    return Truth(
        media=tuple(builder.build() for builder in builders),
        classes=tuple(reader.labels),
        declared=tuple(dict.fromkeys(names.values())),
        sources=(shown,),
        problems=(*reader.problems, *(p for builder in builders for p in builder.problems)),
    )


def looks_like_megadetector(data: object) -> bool:
    """Whether parsed JSON has the sections of a MegaDetector file."""
    return isinstance(data, dict) and "images" in data and "detection_categories" in data
