"""FiftyOne's per-frame labels of videos: frames count from 1, boxes are fractions.

Three forms of JSON: `dataset.to_json(include_frames=True)`, samples that hold their `frames`; an
exported `samples.json` with `frames.json` beside it; and one VideoLabels file per video, which
describes the footage with its own stem unless it names a `filename`. A frame was looked at where
its label field is there, also with an empty list; null means it was not. VideoLabels do not tell
these two apart: every frame that they list counts as looked at. Of several label fields
`ground_truth` is taken; in VideoLabels an object's `name` is its field. `iscrowd` and `ignore` on a
box make an ignore region, `planted` says that a computer put the object there; `ignore: true` on a
frame, an addition of our own, ignores it. Boxes are `x, y, width, height`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics.errors import TruthError
from forensics.truth.base import MediaBuilder, Problem, Truth, clean_name
from forensics.truth.values import (
    flag,
    items,
    number,
    numbers,
    read_json,
    short,
    table,
    whole,
    words,
)

Entry = Mapping[str, Any]
PREFERRED = "ground_truth"
_FLAGS = ("iscrowd", "ignore", "planted")
_UNIT = (1.0, 1.0)
_Found = tuple[str, Entry, str]  # a video's name, one of its frames, where that stands


@dataclass(slots=True)
class _Reader:
    shown: str
    field_name: str = ""
    builders: dict[str, MediaBuilder] = field(default_factory=dict)
    labels: dict[str, None] = field(default_factory=dict)
    seen: set[tuple[str, int]] = field(default_factory=set)

    def builder(self, name: str, *, suffix_known: bool = True) -> MediaBuilder:
        known = MediaBuilder(name, self.shown, suffix_known=suffix_known, normalised=True)
        return self.builders.setdefault(name, known)

    def add(self, name: str, frame: Entry, where: str) -> None:
        """Add the chosen label field of one frame."""
        boxes = _field(frame, self.field_name)
        if boxes is None:
            return
        index = self.index(name, frame, where)
        builder = self.builder(name)
        builder.add_frame(index, ignore=frame.get("ignore") is True)
        for place, entry in enumerate(items(boxes, where, "detections")):
            self._add_box(builder, index, entry, f"{where}, box {place}")

    def index(self, name: str, frame: Entry, where: str) -> int:
        index = whole(frame.get("frame_number"), where, "frame_number", least=1) - 1
        if (name, index) in self.seen:
            raise TruthError(f"{where}: {name} frame {index + 1} is listed twice; keep one")
        self.seen.add((name, index))
        return index

    def _add_box(self, builder: MediaBuilder, index: int, given: Any, where: str) -> None:
        entry = table(given, where, "it")
        label = words(entry.get("label"), where, "label")
        self.labels[label] = None
        builder.add_box(
            index,
            _xyxy(entry.get("bounding_box"), where),
            label,
            where,
            ignore=flag(entry.get("iscrowd"), where, "iscrowd")
            or flag(entry.get("ignore"), where, "ignore"),
            planted=flag(entry.get("planted"), where, "planted"),
            size=_UNIT,
        )


def read_fiftyone(
    path: Path, shown: str, label_field: str | None = None, *, document: Any = None
) -> Truth:
    """Read one file; `label_field` names the frames' field, if there are several."""
    data = read_json(path, shown) if document is None else document
    if not looks_like_fiftyone(data):
        raise TruthError(f"{shown}: no `samples` and no `frames` by number; export it again")
    reader = _Reader(shown)
    problems: list[Problem] = []
    if "samples" in data:
        found = list(_of_samples(data, path, shown, reader, problems))
    else:
        found = list(_of_video(data, path, shown, reader))
    reader.field_name = label_field or _choose([frame for _, frame, _ in found], shown)
    if "samples" not in data:
        found = [
            (name, _looked_at(frame, reader.field_name), there) for name, frame, there in found
        ]
    for name, frame, where in found:
        reader.add(name, frame, where)
    builders = reader.builders.values()
    return Truth(
        media=tuple(builder.build() for builder in builders),
        classes=tuple(reader.labels),
        sources=(shown,),
        problems=(*problems, *(p for builder in builders for p in builder.problems)),
    )


def looks_like_fiftyone(data: object) -> bool:
    """Whether parsed JSON is FiftyOne's samples, or VideoLabels."""
    if not isinstance(data, dict):
        return False
    if "samples" in data:
        samples = data["samples"]
        first = samples[0] if isinstance(samples, list) and samples else None
        return isinstance(first, dict) and "filepath" in first
    frames = data.get("frames")
    return isinstance(frames, dict) and bool(frames) and all(key.isdecimal() for key in frames)


def _of_samples(
    data: Entry, path: Path, shown: str, reader: _Reader, problems: list[Problem]
) -> Iterator[_Found]:
    beside: dict[str, list[tuple[Entry, str]]] | None = None
    known: set[str] = set()
    for place, given in enumerate(items(data["samples"], shown, "samples")):
        where = f"{shown}: samples[{place}]"
        sample = table(given, where, "it")
        name = clean_name(words(sample.get("filepath"), where, "filepath"))
        if name in reader.builders:
            raise TruthError(f"{where}: {name} is listed twice; keep one")
        reader.builder(name)
        if "frames" in sample:
            frames = _numbered(sample["frames"], where)
        elif sample.get("_media_type", "video") == "video":
            beside = _frames_beside(path, shown) if beside is None else beside
            identity = _identity(sample.get("_id"), where)
            known.add(identity)
            frames = iter(beside.get(identity, []))
        else:
            problems.append(Problem(where, f"{name} is no video; its labels are not read"))
            continue
        yield from ((name, frame, there) for frame, there in frames)
    for identity in sorted(set(beside or ()) - known):
        held = (beside or {})[identity]
        what = f"{len(held)} frames of a sample {short(identity)} that is not listed; not read"
        problems.append(Problem(held[0][1], what))


def _numbered(frames: Any, where: str) -> Iterator[tuple[Entry, str]]:
    if not isinstance(frames, dict):
        raise TruthError(f"{where}: its frames are elsewhere; use to_json(include_frames=True)")
    for key, given in frames.items():
        there = f"{where}, frame {key[:20]}"
        frame = table(given, there, "it")
        yield {**frame, "frame_number": frame.get("frame_number", key)}, there


def _frames_beside(path: Path, shown: str) -> dict[str, list[tuple[Entry, str]]]:
    """The frames of an export, by the id of their sample."""
    other = path.with_name("frames.json")
    if not other.is_file():
        raise TruthError(f"{shown}: its samples hold no frames; put frames.json beside it")
    data = table(read_json(other, other.name), other.name, "the file")
    found: dict[str, list[tuple[Entry, str]]] = {}
    for place, given in enumerate(items(data.get("frames"), other.name, "frames")):
        where = f"{other.name}: frames[{place}]"
        frame = table(given, where, "it")
        found.setdefault(_identity(frame.get("_sample_id"), where), []).append((frame, where))
    return found


def _of_video(data: Entry, path: Path, shown: str, reader: _Reader) -> Iterator[_Found]:
    named = data.get("filename")
    name = clean_name(words(named, shown, "filename")) if named else path.stem
    reader.builder(name, suffix_known=bool(named))
    for frame, there in _numbered(data["frames"], shown):
        yield name, _by_field(frame, there), there


def _by_field(frame: Entry, where: str) -> dict[str, Any]:
    """A frame of VideoLabels with its objects as label fields, as samples have them."""
    held = frame.get("objects")
    objects = [] if held is None else table(held, where, "objects").get("objects", [])
    fields: dict[str, dict[str, list[Entry]]] = {}
    for place, given in enumerate(items(objects, where, "objects")):
        entry = table(given, f"{where}, box {place}", "it")
        name = str(entry.get("name") or "detections")
        fields.setdefault(name, {"detections": []})["detections"].append(_with_attributes(entry))
    return {**fields, "frame_number": frame["frame_number"]}


def _with_attributes(entry: Entry) -> Entry:
    """An object of VideoLabels with its list of attributes as plain values."""
    held = entry.get("attrs")
    listed = held.get("attrs") if isinstance(held, dict) else None
    listed = listed if isinstance(listed, list) else []
    known = [a for a in listed if isinstance(a, dict) and a.get("name") in _FLAGS]
    return {**{str(a["name"]): a.get("value") for a in known}, **entry}


def _looked_at(frame: Entry, field_name: str) -> Entry:
    """A frame of VideoLabels: without objects of that field nothing is there."""
    return {field_name: {"detections": []}, **frame}


def _identity(value: Any, where: str) -> str:
    text = value.get("$oid") if isinstance(value, dict) else value
    return words(text, where, "the sample's id")


def _choose(frames: list[Entry], shown: str) -> str:
    """The label field that holds boxes; one file may hold truth and predictions."""
    names = sorted({name for frame in frames for name in frame if _field(frame, name) is not None})
    if PREFERRED in names:
        return PREFERRED
    if len(names) > 1:
        listed = ", ".join(names)[:200]
        raise TruthError(f"{shown}: boxes in several fields ({listed}); name one {PREFERRED}")
    return names[0] if names else PREFERRED


def _field(frame: Entry, name: str) -> Any:
    """The boxes of a label field; None where it is null or no set of boxes."""
    value = frame.get(name)
    return value.get("detections") if isinstance(value, dict) else None


def _xyxy(box: Any, where: str) -> tuple[float, ...]:
    if isinstance(box, dict):
        corners = [table(box.get(k), where, k) for k in ("top_left", "bottom_right")]
        return tuple(number(corner.get(axis), where, axis) for corner in corners for axis in "xy")
    x, y, width, height = numbers(box, 4, where, "bounding_box")
    return x, y, x + width, y + height
