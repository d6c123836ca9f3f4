"""Why boxes are false and why guns are missed.

False boxes after TIDE (Bolya et al. 2020), in this order: duplicate (reaches a truth box that a
better-scored box took), localisation (IoU 0.1 or more with a truth box, below the threshold),
decoy (reaches a labelled object of another class), background. Missed boxes: `rejected`, a box on
it reached the detector threshold and the classifier refused it; `below_threshold`, a box on it was
logged with a lower score; `not_detected`, nothing was logged on it; `taken`, the only boxes on it
took another truth box.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from forensics.evaluation.classes import TARGET
from forensics.evaluation.levels import ARMS, CASCADE
from forensics.evaluation.log import Bools, Ints
from forensics.evaluation.match import FALSE, match, overlaps_with, survivors
from forensics.evaluation.prepare import Prepared
from forensics.types import OperatingPoint

NEAR_IOU = 0.1
FALSE_KINDS = ("duplicate", "localisation", "decoy", "background")
MISSED_KINDS = ("rejected", "below_threshold", "not_detected", "taken")


def taxonomy(prepared: Prepared, point: OperatingPoint) -> dict[str, dict[str, dict[str, int]]]:
    """Counts by arm: {"detector": {"false": {...}, "missed": {...}}, "cascade": ...}."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for arm in ARMS:
        if arm == CASCADE and point.classifier is None:
            continue
        classifier = point.classifier if arm == CASCADE else None
        alive = survivors(prepared.log, prepared.labels, point.detector, classifier)
        outcome, taken = match(prepared.pairs, alive)
        counted = prepared.labels.has_boxes[prepared.log.det_frame]
        false = np.flatnonzero(counted & (outcome == FALSE)).astype(np.int64)
        found[arm] = {
            "false": _false(prepared, false),
            "missed": _missed(prepared, point, alive, taken),
        }
    return found


def _false(prepared: Prepared, false: Ints) -> dict[str, int]:
    pairs = prepared.pairs
    best = overlaps_with(prepared.log, prepared.labels, false, TARGET)
    duplicate = np.isin(false, pairs.candidate)
    near = ~duplicate & (best >= NEAR_IOU)
    decoy = ~duplicate & ~near & (pairs.decoy[false] >= 0)
    masks = (duplicate, near, decoy, ~(duplicate | near | decoy))
    return {name: int(mask.sum()) for name, mask in zip(FALSE_KINDS, masks, strict=True)}


def _missed(prepared: Prepared, point: OperatingPoint, alive: Bools, taken: Ints) -> dict[str, int]:
    log, pairs, boxes = prepared.log, prepared.pairs, prepared.labels.boxes
    missed = boxes.kind == TARGET
    missed[taken[taken >= 0]] = False
    detection = np.repeat(pairs.candidate, np.diff(pairs.start))
    high = log.score[detection] >= np.float32(point.detector)

    def reached(mask: Any) -> Bools:
        hit = np.zeros(len(boxes.kind), np.bool_)
        hit[pairs.gt[mask]] = True
        return hit

    by_alive = reached(alive[detection])
    by_rejected = reached(high & ~alive[detection]) & ~by_alive
    by_low = reached(~high) & ~by_alive & ~by_rejected
    masks = (by_rejected, by_low, ~(by_alive | by_rejected | by_low), by_alive)
    return {
        name: int((missed & mask).sum()) for name, mask in zip(MISSED_KINDS, masks, strict=True)
    }
