"""What the writers of labels share: picture sizes, safe paths, and words on what is left out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from forensics.errors import TruthError
from forensics.truth.base import MediaTruth, Truth
from forensics.types import STILL_SUFFIXES

Sizes = Mapping[str, tuple[int, int]]
"""Width and height of the pictures, pixels, by the media's name in the truth."""
Losses = tuple[str, ...]
"""What a format could not carry, one line each; empty when it carried everything."""


def is_still(media: MediaTruth) -> bool:
    """Whether a medium is a picture by itself: its suffix says so, and it has but one frame.

    Without a suffix, as YOLO names pictures, the one frame has to do.
    """
    suffix = PurePosixPath(media.name).suffix.lower()
    picture = suffix in STILL_SUFFIXES or not media.suffix_known
    return picture and not np.any(media.frames)


def labels_by_frame(media: MediaTruth) -> dict[int, list[int]]:
    """Frame index -> numbers of its boxes, for every frame that was looked at."""
    found: dict[int, list[int]] = {index: [] for index in media.frames.tolist()}
    for number, index in enumerate(media.boxes.frame_index.tolist()):
        found[index].append(number)
    return found


def class_list(truth: Truth) -> tuple[str, ...]:
    """Names of the classes of boxes: those declared, then those used besides."""
    used = (label for media in truth.media for label in media.boxes.label)
    return tuple(dict.fromkeys((*truth.declared, *used)))


def size_of(media: MediaTruth, sizes: Sizes) -> tuple[float, float] | None:
    """Width and height of a medium, if known."""
    size = sizes.get(media.name)
    if size is None:
        return None
    if min(size) < 1:
        raise TruthError(f"{media.name}: a picture of {size[0]} x {size[1]} pixels; correct sizes")
    return float(size[0]), float(size[1])


def in_pixels(media: MediaTruth, sizes: Sizes) -> NDArray[np.float64]:
    """Boxes as pixels (n, 4). Raises where fractions come without the picture's size."""
    size = size_of(media, sizes)
    if not media.normalised or not len(media.boxes):
        return media.boxes.xyxy
    if size is None:
        raise TruthError(
            f"{media.name}: its boxes are fractions; give the picture's size (sizes, or --run)"
        )
    return np.asarray(media.boxes.xyxy * np.array([*size, *size]), np.float64)


def in_fractions(media: MediaTruth, sizes: Sizes) -> NDArray[np.float64]:
    """Boxes as fractions of the picture (n, 4). Raises where pixels come without its size."""
    size = size_of(media, sizes)
    if media.normalised or not len(media.boxes):
        return media.boxes.xyxy
    if size is None:
        raise TruthError(
            f"{media.name}: its boxes are pixels; give the picture's size (sizes, or --run)"
        )
    return np.asarray(media.boxes.xyxy / np.array([*size, *size]), np.float64)


def lost_spans(truth: Truth, format_name: str) -> list[str]:
    """Say whose spans a format of boxes leaves out."""
    return [
        f"{media.name}: {len(media.spans)} spans of time are left out; {format_name} has none"
        for media in truth.media
        if media.spans
    ]


def lost_suffixes(truth: Truth, format_name: str) -> list[str]:
    """Say that names lack their extension, in one line: other readers find no such files."""
    names = [media.name for media in truth.media if not media.suffix_known]
    what = (
        f"{len(names)} names of footage lack their extension, which {format_name} cannot say; give "
        "a run over the footage (--run), whose paths are then written"
    )
    return [f"{names[0]}: {what}"] if names else []


def lost_flag(media: MediaTruth, name: str, format_name: str) -> list[str]:
    """Say that a flag of boxes (`planted`, `ignore`) is left out, if any box has it."""
    count = int(getattr(media.boxes, name).sum())
    what = f"{media.name}: {count} boxes are {name}, which {format_name} cannot say"
    return [what] if count else []


def label_path(target: Path, media: MediaTruth, suffix: str, frame: int | None = None) -> Path:
    """Where below `target` the labels of a medium, or of one of its frames, are written."""
    name = PurePosixPath(media.name)
    parts = [part for part in name.parts if part != name.anchor]
    if not parts or ".." in parts or not all(part.isprintable() for part in parts):
        raise TruthError(
            f"{media.name!r}: cannot be made into a path; rename the file in the truth"
        )
    stem = PurePosixPath(parts[-1]).stem if media.suffix_known else parts[-1]
    number = "" if frame is None else f"_{frame:06d}"
    return target.joinpath(*parts[:-1], f"{stem}{number}{suffix}")


def write_files(files: Iterable[tuple[Path, str]], target: Path) -> None:
    """Write label files into a new or empty folder; none may be written twice."""
    listed = list(files)
    seen: set[Path] = set()
    for path, _ in listed:
        if path in seen:
            raise TruthError(f"{path}: two media of the truth would be written here; rename one")
        seen.add(path)
    encoded = [(path, _encoded(path, text)) for path, text in listed]
    try:
        if target.is_dir() and any(target.iterdir()):
            raise TruthError(f"{target}: holds files already; choose a new or empty folder")
        target.mkdir(parents=True, exist_ok=True)
        for path, data in encoded:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise _unwritable(target, error) from error


def write_new(*files: tuple[Path, str]) -> None:
    """Write files that are not there yet, each under another name until it is whole.

    Nothing is written where one of them exists or cannot be: labels may be somebody's only copy.
    """
    encoded = [(path, _encoded(path, text)) for path, text in files]
    try:
        for path, _ in files:
            if path.exists() or path.is_symlink():
                raise TruthError(f"{path}: is there already; choose another --out, or delete it")
        for path, data in encoded:
            path.parent.mkdir(parents=True, exist_ok=True)
            _place(path, data)
    except OSError as error:
        raise _unwritable(files[0][0], error) from error


def _place(path: Path, data: bytes) -> None:
    """Write beside the place, then move there: a full disk leaves no half file."""
    place = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        place.write_bytes(data)
        place.replace(path)
    finally:
        place.unlink(missing_ok=True)


def _encoded(path: Path, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TruthError(
            f"cannot write {path}: a name or class holds what is no character "
            f"({text[error.start : error.end][:20]!a}); rename it in the truth"
        ) from error


def _unwritable(path: Path, error: OSError) -> TruthError:
    return TruthError(f"cannot write {path}: {error.strerror or error}; choose another place")
