"""Two sides at equal recall, and at equal false alarms: what a threshold alone cannot buy.

Side b stays at its operating point; side a, the yardstick, moves its detector threshold (its
classifier threshold stays) until it matches. As the match is found on the very footage that is
judged, it is found anew in each bootstrap replicate; the figures stay somewhat optimistic for a.
Sources: section 7 of the evaluation's design; McNemar 1947, exact.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from forensics.evaluation.compare import Side, incident_pairs, media_order
from forensics.evaluation.curves import sweep
from forensics.evaluation.fair import threshold_within
from forensics.evaluation.levels import CASCADE, ArmCounts, count_arm
from forensics.evaluation.log import Scores
from forensics.evaluation.paired import mcnemar
from forensics.evaluation.rates import undefined
from forensics.evaluation.rematch import (
    Moved,
    Sums,
    difference_at_false_alarms,
    ratio_at_recall,
)
from forensics.evaluation.result import divide, per_camera
from forensics.evaluation.scored import INCIDENTS, recall_level
from forensics.types import OperatingPoint


def matched(a: Side, b: Side, level: str | None = None) -> dict[str, Any]:
    """Side a at b's recall, and at b's false alarm frames; ratios and differences are b's to a's.

    `false_alarm_ratio` below 1 and `recall_difference` above 0 speak for b. Recall is of `level`,
    incidents or frames; None: of incidents, where truth has any.
    """
    fixed = count_arm(b.prepared, b.point, b.arm)
    level = level or recall_level(a.prepared)
    return {
        "moved": a.name,
        "kept": b.name,
        "level": level,
        "recall": _at_recall(a, b, fixed, level),
        "false_alarms": _at_false_alarms(a, b, fixed, level),
    }


def _at_recall(a: Side, b: Side, fixed: ArmCounts, level: str) -> dict[str, Any]:
    scores, total = _recalled(a, level)
    hit = _hits(fixed, level)
    reached = scores[scores >= _lowest(a)]
    why = None
    if not total or not hit:
        why = "truth has no positives" if not total else f"{b.name} finds nothing"
    elif len(reached) < hit:
        why = f"{a.name} does not reach it at any threshold of its log"
    if why:
        return {"undefined": why, "detector_threshold": None, "figures": None,
                "false_alarm_ratio": undefined(why).to_json()}  # fmt: skip
    threshold = float(scores[len(scores) - hit])
    moved = _moved(a, threshold)
    arm = count_arm(moved.prepared, moved.point, moved.arm)
    ratio = ratio_at_recall(_movable(a), _fixed_sums(a, b, fixed, level), level == INCIDENTS)
    value = divide(float(fixed.frame.fp.sum()), float(arm.frame.fp.sum()))
    return {
        "undefined": None,
        "detector_threshold": threshold,
        "figures": {a.name: _figures(a, arm), b.name: _figures(b, fixed)},
        "false_alarm_ratio": replace(ratio, value=value).to_json(),
    }


def _at_false_alarms(a: Side, b: Side, fixed: ArmCounts, level: str) -> dict[str, Any]:
    _, total = _recalled(a, level)
    why = None
    if not a.prepared.ledger.negative.sum():
        why = "truth has no negative frames"
    if why:
        return {"undefined": why, "detector_threshold": None, "figures": None, "incidents": None,
                "recall_difference": undefined(why).to_json()}  # fmt: skip
    swept = sweep(a.prepared, _classifier(a))
    threshold = threshold_within(_lowest(a), swept.frame_fp, int(fixed.frame.fp.sum()))
    moved = _moved(a, threshold)
    arm = count_arm(moved.prepared, moved.point, moved.arm)
    difference = (
        difference_at_false_alarms(_movable(a), _fixed_sums(a, b, fixed, level), level == INCIDENTS)
        if total
        else undefined("truth has no positives")
    )
    pairs = incident_pairs(moved, arm, b, fixed)
    share = divide(_hits(fixed, level) - _hits(arm, level), total)
    return {
        "undefined": None,
        "detector_threshold": threshold,
        "figures": {a.name: _figures(a, arm), b.name: _figures(b, fixed)},
        "recall_difference": replace(difference, value=share).to_json(),
        "incidents": {
            **pairs,
            "mcnemar_p_value": mcnemar(pairs["only_first"], pairs["only_second"]),
            "test": "exact McNemar test over incidents, as if they were independent",
        },
    }


def _classifier(side: Side) -> float | None:
    return side.point.classifier if side.arm == CASCADE else None


def _lowest(side: Side) -> float:
    """The lowest detector threshold about which the run's log can speak."""
    thresholds = side.prepared.run.manifest["thresholds"]
    gate = thresholds.get("gate") if _classifier(side) is not None else None
    return float(np.float32(max(thresholds["floor"], gate or 0.0)))


def _movable(side: Side) -> Moved:
    return Moved(side.prepared, _classifier(side), _lowest(side))


def _moved(side: Side, threshold: float) -> Side:
    return replace(side, point=OperatingPoint(threshold, side.point.classifier))


def _recalled(side: Side, level: str) -> tuple[Scores, int]:
    """Ascending scores at which something positive is found, -inf for never, and how many exist."""
    swept = sweep(side.prepared, _classifier(side))
    if level == INCIDENTS:
        return swept.incident, swept.n_incidents
    return swept.frame_tp, swept.n_positive


def _hits(arm: ArmCounts, level: str) -> int:
    return int((arm.event.detected if level == INCIDENTS else arm.frame.tp).sum())


def _figures(side: Side, arm: ArmCounts) -> dict[str, Any]:
    ledger = side.prepared.ledger
    negative = int(ledger.negative.sum())
    false = int(arm.frame.fp.sum())
    rate = divide(false, negative)
    return {
        "incidents_detected": int(arm.event.detected.sum())
        if len(side.prepared.incidents)
        else None,
        "incident_recall": divide(int(arm.event.detected.sum()), len(side.prepared.incidents)),
        "frame_recall": divide(int(arm.frame.tp.sum()), int(ledger.positive.sum())),
        "false_alarm_frames": false,
        "false_alarms_per_million": None if rate is None else 1e6 * rate,
        "false_alerts": int(arm.event.false_alerts.sum()),
    }


def _fixed_sums(a: Side, b: Side, fixed: ArmCounts, level: str) -> Sums:
    """b's counts by camera as a names them."""
    order = media_order(a.prepared, b.prepared)
    hits = fixed.event.detected if level == INCIDENTS else fixed.frame.tp
    sums = [
        per_camera(a.prepared, np.where(order >= 0, counts[order], 0))
        for counts in (hits, fixed.frame.fp)
    ]
    return Sums(*sums)
