"""Why boxes are false and why guns are missed.

False boxes after TIDE (Bolya et al. 2020), in this order: duplicate (reaches a truth box that a
better-scored box took), localisation (IoU 0.1 or more with a truth box, below the threshold),
decoy (reaches a labelled object of another class), background. Missed boxes: `rejected`, a box on
it reached the detector threshold and the classifier refused it; `below_threshold`, a box on it was
logged with a lower score; `not_detected`, nothing was logged on it; `taken`, the only boxes on it
took another truth box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.evaluation.classes import TARGET
from forensics.evaluation.levels import ARMS, CASCADE
from forensics.evaluation.log import Bools, Ints
from forensics.evaluation.match import FALSE, match, overlaps_with, survivors
from forensics.evaluation.prepare import Prepared
from forensics.types import OperatingPoint

NEAR_IOU = 0.1
FALSE_KINDS = ("duplicate", "localisation", "decoy", "background")
MISSED_KINDS = ("rejected", "below_threshold", "not_detected", "taken")


@dataclass(frozen=True, slots=True, eq=False)
class Mistakes:
    """Each mistake of one arm at box level.

    `false` int64 (n,) detections, `false_kind` int64 (n,) into `FALSE_KINDS`; `missed` int64 (m,)
    truth boxes, `missed_kind` int64 (m,) into `MISSED_KINDS`, `nearest` int64 (m,): the
    best-scored logged detection that reaches the truth box, or -1.
    """

    false: Ints
    false_kind: Ints
    missed: Ints
    missed_kind: Ints
    nearest: Ints


def taxonomy(prepared: Prepared, point: OperatingPoint) -> dict[str, dict[str, dict[str, int]]]:
    """Counts by arm: {"detector": {"false": {...}, "missed": {...}}, "cascade": ...}."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for arm in ARMS:
        if arm == CASCADE and point.classifier is None:
            continue
        made = mistakes(prepared, point, arm)
        found[arm] = {
            "false": _counts(made.false_kind, FALSE_KINDS),
            "missed": _counts(made.missed_kind, MISSED_KINDS),
        }
    return found


def mistakes(prepared: Prepared, point: OperatingPoint, arm: str) -> Mistakes:
    """Every false box and every missed truth box of one arm, with its cause."""
    classifier = point.classifier if arm == CASCADE else None
    alive = survivors(prepared.log, prepared.labels, point.detector, classifier)
    outcome, taken = match(prepared.pairs, alive)
    counted = prepared.labels.has_boxes[prepared.log.det_frame]
    false = np.flatnonzero(counted & (outcome == FALSE)).astype(np.int64)
    boxes = prepared.labels.boxes
    missed = boxes.kind == TARGET
    missed[taken[taken >= 0]] = False
    number = np.flatnonzero(missed).astype(np.int64)
    detection = np.repeat(prepared.pairs.candidate, np.diff(prepared.pairs.start))
    nearest = np.full(len(boxes.kind), -1, np.int64)
    # Detections ascend, the best of a frame first: written last, the best stays.
    nearest[prepared.pairs.gt[::-1]] = detection[::-1]
    return Mistakes(
        false=false,
        false_kind=_false(prepared, false),
        missed=number,
        missed_kind=_missed(prepared, point, alive, detection)[number],
        nearest=nearest[number],
    )


def _counts(kinds: Ints, names: tuple[str, ...]) -> dict[str, int]:
    return dict(zip(names, np.bincount(kinds, minlength=len(names)).tolist(), strict=True))


def _false(prepared: Prepared, false: Ints) -> Ints:
    pairs = prepared.pairs
    best = overlaps_with(prepared.log, prepared.labels, false, TARGET)
    duplicate = np.isin(false, pairs.candidate)
    near = ~duplicate & (best >= NEAR_IOU)
    decoy = ~duplicate & ~near & (pairs.decoy[false] >= 0)
    return np.select([duplicate, near, decoy], [0, 1, 2], 3).astype(np.int64)


def _missed(prepared: Prepared, point: OperatingPoint, alive: Bools, detection: Ints) -> Ints:
    """The cause for every truth box, had it been missed; `detection` is that of each pair."""
    log, pairs = prepared.log, prepared.pairs
    high = log.score[detection] >= np.float32(point.detector)

    def reached(mask: Bools) -> NDArray[np.bool_]:
        hit = np.zeros(len(prepared.labels.boxes.kind), np.bool_)
        hit[pairs.gt[mask]] = True
        return hit

    by_alive = reached(alive[detection])
    by_rejected = reached(high & ~alive[detection]) & ~by_alive
    by_low = reached(~high) & ~by_alive & ~by_rejected
    return np.select([by_rejected, by_low, by_alive], [0, 1, 3], 2).astype(np.int64)
