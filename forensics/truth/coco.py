"""COCO detection JSON: still images by `file_name`, video frames by `frame_index`.

A video frame names its clip by `video_id`, or as `clip.mp4#123` or `clip.mp4#123.jpg` (tools such
as Datumaro keep nothing else, and tell pictures apart by their names without the ending);
`frame_index` is 0-based, and a frame that names its video needs one of the two. Every
listed image was looked at: without annotations it is a negative. `ignore` on an image ignores the
frame; `iscrowd` or `ignore` on an annotation makes it an ignore region. `planted` may stand on an
annotation, an image, a video or in `info`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics.errors import TruthError
from forensics.truth.base import MAX_INDEX, MAX_PIXELS, MediaBuilder, Truth, clean_name
from forensics.truth.values import read_json, short

_FRAME = re.compile(r"^(?P<name>.+)#(?P<index>\d{1,12})$")
_PICTURE = re.compile(r"^(?P<name>.+\.\w+)#(?P<index>\d{1,12})\.jpg$")
Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Image:
    builder: MediaBuilder
    frame_index: int
    size: tuple[float, float] | None
    planted: bool


@dataclass(slots=True)
class _Reader:
    """What the sections of one file refer to by id."""

    shown: str
    planted: bool
    builders: dict[str, MediaBuilder] = field(default_factory=dict)
    videos: dict[Any, Entry] = field(default_factory=dict)
    categories: dict[Any, str] = field(default_factory=dict)
    images: dict[Any, _Image] = field(default_factory=dict)
    seen: set[tuple[str, int]] = field(default_factory=set)
    used: dict[str, None] = field(default_factory=dict)

    def add_video(self, entry: Entry, where: str) -> None:
        self.videos[_identity(entry, where)] = entry

    def add_category(self, entry: Entry, where: str) -> None:
        name = entry.get("name")
        if not isinstance(name, str) or not name.strip():
            raise TruthError(f"{where}: a category needs a name; add it")
        self.categories[_identity(entry, where)] = name.strip()

    def add_image(self, entry: Entry, where: str) -> None:
        identity = _identity(entry, where)
        if identity in self.images:
            raise TruthError(
                f"{where}: the image id {short(identity)} is used twice; make ids unique"
            )
        video = self._video(entry, where)
        name, index = _frame_of(entry, video, where)
        if (name, index) in self.seen:
            raise TruthError(f"{where}: {short(name)} frame {index} is listed twice; keep one")
        self.seen.add((name, index))
        builder = self.builders.setdefault(name, MediaBuilder(name, self.shown))
        builder.add_frame(index, ignore=_flag(entry, "ignore", where))
        planted = self.planted or _flag(video, "planted", where) or _flag(entry, "planted", where)
        self.images[identity] = _Image(builder, index, _size(entry, video, where), planted)

    def add_annotation(self, entry: Entry, where: str) -> None:
        image = self.images.get(_key(entry.get("image_id")))
        if image is None:
            raise TruthError(f"{where}: image_id {short(entry.get('image_id'))} is not listed")
        label = self.categories.get(_key(entry.get("category_id")))
        if label is None:
            raise TruthError(
                f"{where}: category_id {short(entry.get('category_id'))} is not listed"
            )
        self.used[label] = None
        image.builder.add_box(
            image.frame_index,
            _xyxy(entry.get("bbox"), where),
            label,
            where,
            ignore=_flag(entry, "iscrowd", where) or _flag(entry, "ignore", where),
            planted=image.planted or _flag(entry, "planted", where),
            size=image.size,
        )

    def _video(self, entry: Entry, where: str) -> Entry:
        if entry.get("video_id") is None:
            return {}
        video = self.videos.get(_key(entry["video_id"]))
        if video is None:
            named = short(entry["video_id"])
            raise TruthError(f"{where}: video_id {named} is not in `videos`; add it")
        return video


def read_coco(path: Path, shown: str, *, document: Any = None) -> Truth:
    """Read a COCO ground-truth file; `shown` is the path as messages name it."""
    reader = _read(path, shown, document)
    return Truth(
        media=tuple(builder.build() for builder in reader.builders.values()),
        classes=tuple(reader.used),
        declared=tuple(dict.fromkeys(reader.categories.values())),
        sources=(shown,),
        problems=tuple(p for builder in reader.builders.values() for p in builder.problems),
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """What the ids of a COCO file mean: (file, 0-based frame) of images, names of categories."""

    images: Mapping[Any, tuple[str, int]]
    categories: Mapping[Any, str]


def read_listing(path: Path, shown: str) -> Listing:
    """Read what a COCO file lists, for results that refer to it by id."""
    reader = _read(path, shown)
    images = {key: (image.builder.name, image.frame_index) for key, image in reader.images.items()}
    return Listing(images, reader.categories)


def _read(path: Path, shown: str, document: Any = None) -> _Reader:
    data = read_json(path, shown) if document is None else document
    if not looks_like_coco(data):
        raise TruthError(f"{shown}: no `images` with `annotations`; give a COCO detection file")
    info = data.get("info")
    planted = isinstance(info, dict) and _flag(info, "planted", f"{shown}: info")
    reader = _Reader(shown, planted)
    sections = (
        ("videos", reader.add_video),
        ("categories", reader.add_category),
        ("images", reader.add_image),
        ("annotations", reader.add_annotation),
    )
    for section, add in sections:
        entries = data.get(section, [])
        if not isinstance(entries, list):
            raise TruthError(f"{shown}: `{section}` is not a list; export the file again")
        for number, entry in enumerate(entries):
            where = f"{shown}: {section}[{number}]"
            if not isinstance(entry, dict):
                raise TruthError(f"{where}: not an object; export the file again")
            add(entry, where)
    return reader


def looks_like_coco(data: object) -> bool:
    """Whether parsed JSON has the sections of a COCO detection file."""
    return isinstance(data, dict) and "images" in data and "annotations" in data


def _key(value: Any) -> Any:
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _identity(entry: Entry, where: str) -> Any:
    identity = _key(entry.get("id"))
    if identity is None:
        raise TruthError(f"{where}: needs an `id` (a whole number or text); add it")
    return identity


def _frame_of(entry: Entry, video: Entry, where: str) -> tuple[str, int]:
    name = entry.get("file_name", video.get("file_name"))
    if not isinstance(name, str) or not name.strip():
        raise TruthError(f"{where}: needs a file_name; add it")
    marked = _FRAME.match(clean_name(name)) or _PICTURE.match(clean_name(name))
    if video and marked is None and "frame_index" not in entry:
        raise TruthError(
            f"{where}: a frame of a video needs frame_index (0-based); `frame_id` and numbers in "
            "names count from 0 or from 1, tool by tool"
        )
    index = entry.get("frame_index", int(marked["index"]) if marked else 0)
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < MAX_INDEX:
        raise TruthError(
            f"{where}: frame_index {short(index)} is not a whole number from 0; correct it"
        )
    if marked and int(marked["index"]) != index:
        raise TruthError(
            f"{where}: frame_index {index} and file_name {short(name)} disagree; correct one"
        )
    clip = video.get("file_name") or (marked["name"] if marked else name)
    if not isinstance(clip, str):
        raise TruthError(f"{where}: the video's file_name is not text; correct it")
    return clean_name(clip), index


def _size(entry: Entry, video: Entry, where: str) -> tuple[float, float] | None:
    width, height = (entry.get(key, video.get(key)) for key in ("width", "height"))
    if (
        isinstance(width, int | float)
        and isinstance(height, int | float)
        and min(width, height) > 0
    ):
        if max(width, height) > MAX_PIXELS:
            raise TruthError(f"{where}: its width or height is beyond any picture; correct it")
        return float(width), float(height)
    return None


def _xyxy(bbox: Any, where: str) -> tuple[float, float, float, float]:
    numbers = isinstance(bbox, list) and len(bbox) == 4
    if not numbers or any(isinstance(v, bool) or not isinstance(v, int | float) for v in bbox):
        raise TruthError(f"{where}: bbox must be [x, y, width, height]; correct or remove it")
    try:
        x, y, width, height = map(float, bbox)
    except OverflowError as error:
        raise TruthError(f"{where}: bbox holds a number beyond any picture; correct it") from error
    return x, y, x + width, y + height


def _flag(entry: Entry, name: str, where: str) -> bool:
    value = entry.get(name, False)
    if value not in (0, 1, None) or isinstance(value, list | dict | str):
        raise TruthError(f"{where}: {name} is {short(value)}; write 0 or 1")
    return bool(value)
