"""Pictures of detections: fetched again from the footage, and kept under RUN/evidence.

A picture is named by the SHA-256 of its bytes. A record beside it, named by the SHA-256 of what
was asked for, says which media, frame and pixels it shows. Neither is ever changed, so that check
sums over the run folder stay true.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from forensics.boxes import square_crop
from forensics.footage.grab import grab_frames
from forensics.report.model import Picture, Shot
from forensics.runlog.places import Places
from forensics.runlog.reader import RunTables
from forensics.types import ImageArray

FOLDER = "evidence"
FRAME_SIDE, FRAME_QUALITY = 400, 76
CROP_SIDE, CROP_QUALITY = 320, 86
CROP_PADDING, CROP_MIN_SIDE = 1.6, 96

GONE = "The footage is no longer at its place, so that there is no picture."
CHANGED = "The file at this place is not the one that was scanned (its SHA-256 differs)."
UNDECODED = "This frame could not be decoded again, so that there is no picture."
Box = tuple[float, float, float, float]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Want:
    """A box (source pixels, half-open) on a frame of a media."""

    media_id: str
    frame_index: int
    xyxy: Box


@dataclass(frozen=True, slots=True)
class _Cut:
    """What a picture shows: `square` of the frame (empty = all of it), at most `side` pixels."""

    media_id: str
    frame_index: int
    square: tuple[int, ...]
    side: int
    quality: int

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Made:
    """A picture and the source pixels [x0, y0, x1, y1) that it shows."""

    picture: Picture
    shown: tuple[int, ...]

    def inside(self, xyxy: Box) -> Box:
        """A box of source pixels as (x, y, width, height) in the picture's own pixels."""
        left, top, right, bottom = self.shown
        across = self.picture.width / (right - left)
        down = self.picture.height / (bottom - top)
        x0, x1 = ((value - left) * across for value in (xyxy[0], xyxy[2]))
        y0, y1 = ((value - top) * down for value in (xyxy[1], xyxy[3]))
        return (round(x0, 1), round(y0, 1), round(x1 - x0, 1), round(y1 - y0, 1))


class Album:
    """Pictures of one run, from its evidence folder or made anew."""

    def __init__(self, run: RunTables) -> None:
        self._run = run
        self._folder = run.folder / FOLDER
        self._made: dict[_Cut, _Made] = {}
        self._places = Places(run)
        self.not_kept = ""

    def shots(self, wants: Sequence[Want], progress: Progress | None = None) -> dict[Want, Shot]:
        """Fetch a shot for every want; those that cannot be had say why. One pass per file."""
        found: dict[Want, Shot] = {}
        missing: dict[str, list[Want]] = defaultdict(list)
        for want in dict.fromkeys(wants):
            if all(self._kept(cut) for cut in _cuts(want)):
                found[want] = self._shot(want)
            else:
                missing[want.media_id].append(want)
        total = sum(len({w.frame_index for w in listed}) for listed in missing.values())
        done = 0
        for media_id, listed in missing.items():
            for shots, step in self._fetch(media_id, listed):
                found |= shots
                done += step
                if progress is not None:
                    progress(done, total)
        return found

    def _fetch(
        self, media_id: str, wants: Sequence[Want]
    ) -> Iterator[tuple[dict[Want, Shot], int]]:
        """Decode one file once; yield the shots of each wanted frame."""
        by_frame: dict[int, list[Want]] = defaultdict(list)
        for want in wants:
            by_frame[want.frame_index].append(want)
        path, changed = self._places.find(media_id)
        problem = CHANGED if changed else GONE
        if path is not None:
            problem = UNDECODED
            for index, rgb in grab_frames(path, by_frame):
                listed = by_frame.pop(index, [])
                for want in listed:
                    self._make(want, rgb)
                yield {want: self._shot(want) for want in listed}, 1
        for listed in by_frame.values():
            yield {want: Shot(problem=problem) for want in listed}, 1

    def _make(self, want: Want, rgb: ImageArray) -> None:
        for cut in _cuts(want):
            if cut not in self._made:
                made, data = _encode(cut, rgb)
                self._made[cut] = made
                self._keep(cut, made, data)

    def _keep(self, cut: _Cut, made: _Made, data: bytes) -> None:
        name = f"{made.picture.sha256}.jpg"
        record: dict[str, Any] = asdict(cut) | {
            "square": list(cut.square),
            "shown": list(made.shown),
            "picture": name,
            "width": made.picture.width,
            "height": made.picture.height,
        }
        try:
            self._folder.mkdir(exist_ok=True)
            _store(data, self._folder / name)
            _store(json.dumps(record, indent=1).encode() + b"\n", self._folder / f"{cut.key}.json")
        except OSError as error:  # a write-protected run still gets its report
            self.not_kept = f"{self._folder.name}: {error.strerror}"

    def _kept(self, cut: _Cut) -> bool:
        """Whether the picture is at hand; a kept one must hash to its name."""
        if cut in self._made:
            return True
        try:
            record = json.loads((self._folder / f"{cut.key}.json").read_bytes())
            name = Path(str(record["picture"])).name
            data = (self._folder / name).read_bytes()
            picture = _picture(data, int(record["width"]), int(record["height"]))
            left, top, right, bottom = (int(value) for value in record["shown"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if f"{picture.sha256}.jpg" != name or left >= right or top >= bottom:
            return False
        self._made[cut] = _Made(picture, (left, top, right, bottom))
        return True

    def _shot(self, want: Want) -> Shot:
        frame, crop = (self._made[cut] for cut in _cuts(want))
        return Shot(
            frame=frame.picture,
            frame_box=frame.inside(want.xyxy),
            crop=crop.picture,
            crop_box=crop.inside(want.xyxy),
            crop_scaled=crop.picture.width < crop.shown[2] - crop.shown[0],
        )


def _store(data: bytes, path: Path) -> None:
    """Put a file in its place at once. Not synced: what does not hash to its name is made anew."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def _cuts(want: Want) -> tuple[_Cut, _Cut]:
    """The whole frame, and the square around the box (it may reach beyond the picture)."""
    square = square_crop(np.array([want.xyxy]), CROP_PADDING, CROP_MIN_SIDE)[0].tolist()
    return (
        _Cut(want.media_id, want.frame_index, (), FRAME_SIDE, FRAME_QUALITY),
        _Cut(want.media_id, want.frame_index, tuple(square), CROP_SIDE, CROP_QUALITY),
    )


def _encode(cut: _Cut, rgb: ImageArray) -> tuple[_Made, bytes]:
    """Cut, shrink if need be, and encode; what lies beyond the picture is left off."""
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = cut.square or (0, 0, width, height)
    left, top = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    right, bottom = max(min(x1, width), left + 1), max(min(y1, height), top + 1)
    shown = rgb[top:bottom, left:right]
    scale = min(1.0, cut.side / max(shown.shape[:2]))
    if scale < 1:
        new = (max(1, round(shown.shape[1] * scale)), max(1, round(shown.shape[0] * scale)))
        shown = np.asarray(cv2.resize(shown, new, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(np.ascontiguousarray(shown), cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, cut.quality])[1].tobytes()
    picture = _picture(data, shown.shape[1], shown.shape[0])
    return _Made(picture, (left, top, right, bottom)), data


def _picture(data: bytes, width: int, height: int) -> Picture:
    uri = "data:image/jpeg;base64," + base64.b64encode(data).decode()
    return Picture(uri, width, height, hashlib.sha256(data).hexdigest())
