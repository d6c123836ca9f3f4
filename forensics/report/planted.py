"""Positives that a computer put into the footage: the word stands wherever they count."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from forensics.errors import TruthError
from forensics.evaluation.align import POSITIVE
from forensics.evaluation.classes import TARGET
from forensics.evaluation.prepare import Prepared

SAMPLE_FILE = "sample.toml"
WORD = "planted"


@dataclass(frozen=True, slots=True)
class Planted:
    """How many positives of each level are planted, of how many."""

    boxes: tuple[int, int]
    frames: tuple[int, int]
    incidents: tuple[int, int]
    files: frozenset[str]

    def word(self, level: str) -> str:
        """`planted`, `partly planted` or nothing, for box, frame or event level."""
        pairs = {"box": self.boxes, "frame": self.frames, "event": self.incidents}
        planted, total = pairs[level]
        if not planted:
            return ""
        return WORD if planted >= total else f"partly {WORD}"

    @property
    def any(self) -> bool:
        return bool(self.boxes[0] or self.frames[0] or self.incidents[0])


def planted_files(truth_paths: Sequence[Path]) -> frozenset[str]:
    """Names of clips that a sample.toml next to the truth lists as planted."""
    names: set[str] = set()
    for path in truth_paths:
        folder = Path(path).resolve()
        for place in (folder, folder.parent, folder.parent.parent):
            found = place / SAMPLE_FILE
            if found.is_file():
                names |= _listed(found)
                break
    return frozenset(names)


def _listed(path: Path) -> set[str]:
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8")).get("planted", [])
    except (OSError, ValueError) as error:
        raise TruthError(f"{path}: not readable as TOML ({error}); mend or remove it") from error
    return {str(name) for name in listed} if isinstance(listed, list) else set()


def count_planted(prepared: Prepared, files: frozenset[str]) -> Planted:
    """Count planted positives: by the truth's own attribute, or in a file that is listed."""
    log, labels, incidents = prepared.log, prepared.labels, prepared.incidents
    listed = np.array([_is_listed(path, files) for path in log.path], np.bool_)
    positive = (labels.frame == POSITIVE) & log.ok
    frames = positive & (labels.planted | listed[log.frame_media])
    target = labels.boxes.kind == TARGET
    boxed = labels.boxes.planted | listed[log.frame_media[labels.boxes.frame]]
    media = incidents.planted | listed[incidents.media]
    return Planted(
        boxes=(int((boxed & target).sum()), int(target.sum())),
        frames=(int(frames.sum()), int(positive.sum())),
        incidents=(int(media.sum()), len(incidents)),
        files=frozenset(path for path, is_in in zip(log.path, listed, strict=True) if is_in),
    )


def _is_listed(path: str, files: frozenset[str]) -> bool:
    return path in files or PurePosixPath(path).name in files
