"""CVAT for video 1.1: tracks of boxes in XML; one file describes one video.

Frames count from 0 in the source video, also where a task leaves frames out (`start_frame`,
`stop_frame`, `frame_filter` step). All frames of the task were looked at. A box with outside="1" is
not there; boxes with keyframe="0" are CVAT's own interpolation and are taken as written; gaps
between keyframes are interpolated linearly, and a last box without outside="1" stays to the end of
the task, as in CVAT (which leaves that out for a shape in the frame before the last one, and so
shows it in both). Attributes `ignore` (true: the box, frame: its whole frame), `planted`, and
`iscrowd` or `is_crowd` (an ignore region, as in COCO) are understood; `occluded` is not used.
Polygons become their bounding boxes; other shapes, and rotated boxes, ignore their frames, also
those between them and their neighbours in the track. The
video is `source`; without it, the one called like the file, or like the folder of an
`annotations.xml`. Datumaro writes as `stop_frame` the number behind the last one: then `size`
counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element  # noqa: S405 - a type; parsing is guarded in values.py

from forensics.errors import TruthError
from forensics.truth.base import MAX_FRAMES, MediaBuilder, Problem, Truth, clean_name
from forensics.truth.values import child_text, flag, number, read_xml, whole, words

MAX_BOXES = 5_000_000  # of interpolation: two keyframes far apart must not fill the memory
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_STEP = re.compile(r"^step\s*=\s*(\d{1,8})$")
_PLACES = ("meta/task", "meta/job")
_CROWD = ("iscrowd", "is_crowd")  # what FiftyOne and Datumaro make of COCO's flag


@dataclass(frozen=True, slots=True)
class _Task:
    """Which frames of the source the task holds; `frames` None where the file does not say."""

    name: str
    suffix_known: bool
    frames: range | None
    step: int
    size: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a track shows from a frame on; `xyxy` is empty where that is no box."""

    frame: int
    xyxy: tuple[float, ...]
    outside: bool
    ignore: str
    planted: bool
    where: str


@dataclass(slots=True)
class _Reader:
    shown: str
    task: _Task
    builder: MediaBuilder
    labels: dict[str, None] = field(default_factory=dict)
    made: int = 0

    def add_track(self, track: Element, where: str) -> None:
        label = words(track.get("label"), where, "label")
        shapes: dict[int, _Shape] = {}
        for place, element in enumerate(track):
            shape = self._shape(element, f"{where}, shape {place}")
            if shape is None:
                continue
            if shape.frame in shapes:
                raise TruthError(f"{shape.where}: frame {shape.frame} is in the track twice")
            shapes[shape.frame] = shape
        ordered = [shapes[frame] for frame in sorted(shapes)]
        for number_, shape in enumerate(ordered):
            following = ordered[number_ + 1] if number_ + 1 < len(ordered) else None
            if not shape.outside:
                self._add(shape, label)
                self._fill(shape, following, label)

    def _shape(self, element: Element, where: str) -> _Shape | None:
        turned = number(element.get("rotation", "0"), where, "rotation") != 0
        other = turned or element.tag not in {"box", "polygon", "polyline"}
        if other and element.get("frame") is None:  # no shape at all
            return None
        frame = whole(element.get("frame"), where, "frame")
        outside = flag(element.get("outside"), where, "outside")
        frames = self.task.frames
        if frames is not None and frame not in frames:
            if outside:  # CVAT ends a shape one step later, which may be behind the task
                return None
            raise TruthError(
                f"{where}: frame {frame} is none of the task's frames ({frames.start} to "
                f"{frames[-1] if frames else 'none'}, step {frames.step}); export it again"
            )
        if outside:  # nothing is shown: the shape does not matter
            return _Shape(frame, (), True, "", False, where)
        if other:
            what = f"a {'rotated ' * turned}{element.tag} is no box; its frame is ignored"
            self.builder.problems.append(Problem(where, what))
            return _Shape(frame, (), False, "frame", False, where)
        said = {a.get("name", ""): (a.text or "").strip() for a in element.iter("attribute")}
        ignore = said.get("ignore", "").lower()
        if ignore != "frame":
            marks = {"ignore": ignore} | {name: said.get(name) for name in _CROWD}
            ignore = "box" if any([flag(v, where, n) for n, v in marks.items()]) else ""
        planted = flag(said.get("planted"), where, "planted")
        return _Shape(frame, _corners(element, where), False, ignore, planted, where)

    def _add(self, shape: _Shape, label: str) -> None:
        if shape.ignore == "frame":
            self.builder.add_frame(shape.frame, ignore=True)
            return
        self.labels[label] = None
        self.builder.add_box(
            shape.frame,
            shape.xyxy,
            label,
            shape.where,
            ignore=bool(shape.ignore),
            planted=shape.planted,
            size=self.task.size,
        )

    def _fill(self, shape: _Shape, following: _Shape | None, label: str) -> None:
        """Add what CVAT shows between a shape and the next one, or the end of the task."""
        step = self.task.step
        if following is not None:
            stop, target = following.frame, shape if following.outside else following
        else:
            stop = self.task.frames.stop if self.task.frames is not None else 0
            target = shape
        between = range(shape.frame + step, stop, step)
        self.made += len(between)
        if self.made > MAX_BOXES:
            raise TruthError(
                f"{shape.where}: interpolation makes more than {MAX_BOXES} boxes; export from "
                "CVAT, which writes every frame"
            )
        if following is None and between:
            what = "the last shape of its track is not marked outside; kept to the end of the task"
            self.builder.problems.append(Problem(shape.where, what))
        if not shape.xyxy or not target.xyxy:
            for frame in between:
                self.builder.add_frame(frame, ignore=True)
            return
        for frame in between:
            share = (frame - shape.frame) / (stop - shape.frame)
            pairs = zip(shape.xyxy, target.xyxy, strict=True)
            xyxy = tuple(a + (b - a) * share for a, b in pairs)
            self._add(_Shape(frame, xyxy, False, shape.ignore, shape.planted, shape.where), label)


def read_cvat(path: Path, shown: str, *, document: Element | None = None) -> Truth:
    """Read one CVAT XML file; `shown` is the path as messages name it."""
    root = read_xml(path, shown) if document is None else document
    if not looks_like_cvat(root):
        raise TruthError(f"{shown}: no <annotations>; export as `CVAT for video 1.1`")
    if root.find("image") is not None:
        raise TruthError(f"{shown}: made for images; export as `CVAT for video 1.1`")
    if root.find("meta/project") is not None:
        raise TruthError(f"{shown}: a whole project; export each of its tasks by itself")
    task = _task(root, path, shown)
    builder = MediaBuilder(task.name, shown, suffix_known=task.suffix_known)
    if task.frames is None:
        what = "does not say which frames the task holds: only frames with a shape are known"
        builder.problems.append(Problem(shown, what))
    else:
        builder.add_all(task.frames)
    reader = _Reader(shown, task, builder)
    for place, track in enumerate(root.findall("track")):
        reader.add_track(track, f"{shown}: track {track.get('id', place)}")
    declared = (label.findtext("name", "").strip() for label in root.iter("label"))
    return Truth(
        media=(builder.build(),),
        classes=tuple(reader.labels),
        declared=tuple(dict.fromkeys(filter(None, declared))),
        sources=(shown,),
        problems=tuple(builder.problems),
    )


def looks_like_cvat(root: Element) -> bool:
    """Whether parsed XML has the shape of a CVAT file."""
    return root.tag == "annotations"


def _task(root: Element, path: Path, shown: str) -> _Task:
    source = child_text(root, [*(f"{place}/source" for place in _PLACES), "meta/source"])
    step = 1
    if said := child_text(root, [f"{place}/frame_filter" for place in _PLACES]):
        found = _STEP.match(said)
        step = whole(found[1] if found else None, shown, "frame_filter", least=1)
    return _Task(
        name=clean_name(source) or _name_of_file(path),
        suffix_known=bool(source),
        frames=_frames(root, step, shown),
        step=step,
        size=_size(root, shown),
    )


def _name_of_file(path: Path) -> str:
    """What the file is called; every export of CVAT is an `annotations.xml`, so its folder is."""
    return path.absolute().parent.name if path.stem == "annotations" else path.stem


def _frames(root: Element, step: int, shown: str) -> range | None:
    """The frames of the task, in the source's numbers."""
    said = {
        name: child_text(root, [f"{place}/{name}" for place in _PLACES])
        for name in ("start_frame", "stop_frame", "size")
    }
    start = whole(said["start_frame"] or "0", shown, "start_frame")
    if said["stop_frame"]:
        stop = whole(said["stop_frame"], shown, "stop_frame") + 1
    elif said["size"]:
        stop = start + (whole(said["size"], shown, "size") - 1) * step + 1
    else:
        return None
    frames = range(start, stop, step)
    size = whole(said["size"], shown, "size") if said["size"] else len(frames)
    if stop == start + size * step + 1:  # Datumaro gives the number behind the last frame
        frames = frames[:size]
    if stop > MAX_FRAMES or size != len(frames):
        raise TruthError(
            f"{shown}: size {said['size'] or 'none'} does not fit start_frame {start}, stop_frame "
            f"{stop - 1} and step {step}; export it again"
        )
    return frames


def _size(root: Element, shown: str) -> tuple[float, float] | None:
    places = [*(f"{place}/original_size" for place in _PLACES), "meta/original_size"]
    width = child_text(root, [f"{place}/width" for place in places])
    height = child_text(root, [f"{place}/height" for place in places])
    if not width or not height:
        return None
    return (
        float(whole(width, shown, "width", least=1)),
        float(whole(height, shown, "height", least=1)),
    )


def _corners(element: Element, where: str) -> tuple[float, ...]:
    if element.tag == "box":
        return tuple(number(element.get(name), where, name) for name in _CORNERS)
    points = list(_points(element, where))
    across, down = [x for x, _ in points], [y for _, y in points]
    return min(across), min(down), max(across), max(down)


def _points(element: Element, where: str) -> Iterator[tuple[float, float]]:
    for pair in (element.get("points") or "").split(";"):
        x, _, y = pair.partition(",")
        yield number(x, where, "points"), number(y, where, "points")
