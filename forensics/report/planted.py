"""Positives that a computer put into the footage: the word stands wherever they count."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.evaluation.align import POSITIVE
from forensics.evaluation.classes import TARGET
from forensics.evaluation.prepare import Prepared

WORD = "planted"


@dataclass(frozen=True, slots=True)
class Planted:
    """How many positives of each level are planted, of how many."""

    boxes: tuple[int, int]
    frames: tuple[int, int]
    incidents: tuple[int, int]

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


def count_planted(prepared: Prepared) -> Planted:
    """Count planted positives, as the truth says it: the same as `planted` of `evaluate`."""
    log, labels, incidents = prepared.log, prepared.labels, prepared.incidents
    positive = (labels.frame == POSITIVE) & log.ok
    target = labels.boxes.kind == TARGET
    return Planted(
        boxes=(int((labels.boxes.planted & target).sum()), int(target.sum())),
        frames=(int((labels.planted & positive).sum()), int(positive.sum())),
        incidents=(int(incidents.planted.sum()), len(incidents)),
    )
