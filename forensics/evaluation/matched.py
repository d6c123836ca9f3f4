"""Two sides at equal recall, and at equal false alarms: what a threshold alone cannot buy.

Side b stays at its operating point; side a, the yardstick, moves its detector threshold (its
classifier threshold stays) until it matches. As the match is found on the very footage that is
judged, it is found anew in each bootstrap replicate; the figures stay somewhat optimistic for a.
Sources: section 7 of the evaluation's design; McNemar 1947, exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from forensics.evaluation.compare import Side, incident_pairs, media_order
from forensics.evaluation.curves import Sweep, reaching, sweep, threshold_within
from forensics.evaluation.levels import CASCADE, DETECTOR, ArmCounts, count_arm
from forensics.evaluation.log import Scores
from forensics.evaluation.paired import mcnemar
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import Interval, undefined
from forensics.evaluation.rematch import (
    Moved,
    Sums,
    difference_at_false_alarms,
    ratio_at_recall,
)
from forensics.evaluation.result import MILLION, divide, per_camera
from forensics.evaluation.scored import INCIDENTS, recall_level
from forensics.types import OperatingPoint

NO_POSITIVES = "truth has no positives"
NO_NEGATIVES = "truth has no negative frames"


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The side that moves, and the one that keeps its operating point with its counts `fixed`.

    `swept` is the sweep of the moved side. Recall is of `level`: `INCIDENTS` or `FRAMES`.
    """

    moved: Moved
    swept: Sweep
    kept: Prepared
    fixed: ArmCounts
    level: str

    @property
    def total(self) -> int:
        """How many incidents, or frames with a target, there are to find."""
        return self.swept.n_incidents if self.level == INCIDENTS else self.swept.n_positive

    @property
    def scores(self) -> Scores:
        """Ascending scores at which the moved side finds one of them, -inf for never."""
        return self.swept.incident if self.level == INCIDENTS else self.swept.frame_tp

    def hits(self, arm: ArmCounts) -> int:
        """How many of them `arm` finds."""
        return int((arm.event.detected if self.level == INCIDENTS else arm.frame.tp).sum())

    def sums(self) -> Sums:
        """What the kept side found, by camera as the moved one names them."""
        order = media_order(self.moved.prepared, self.kept)
        fixed = self.fixed
        hits = fixed.event.detected if self.level == INCIDENTS else fixed.frame.tp
        sums = [
            per_camera(self.moved.prepared, np.where(order >= 0, counts[order], 0))
            for counts in (hits, fixed.frame.fp)
        ]
        return Sums(*sums)

    def figures(self, arm: ArmCounts) -> dict[str, Any]:
        """What `arm` finds and raises, in plain values."""
        swept = self.swept
        false, detected = int(arm.frame.fp.sum()), int(arm.event.detected.sum())
        rate = divide(false, swept.n_negative)
        return {
            "incidents_detected": detected if swept.n_incidents else None,
            "incident_recall": divide(detected, swept.n_incidents),
            "frame_recall": divide(int(arm.frame.tp.sum()), swept.n_positive),
            "false_alarm_frames": false,
            "false_alarms_per_million": None if rate is None else MILLION * rate,
            "false_alerts": int(arm.event.false_alerts.sum()),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """The moved side where it matches: its `threshold`, and its counts there.

    `interval` is of the kept side's false alarm frames over the moved side's, or of its recall
    less the moved side's.
    """

    threshold: float
    arm: ArmCounts
    interval: Interval


def at_recall(pair: Pair) -> Match | None:
    """The moved side at the highest threshold that reaches the kept one's recall.

    None where there is nothing to find, or nothing found, or where no threshold of the log
    reaches it.
    """
    hit = pair.hits(pair.fixed)
    if not pair.total or not hit or int((pair.scores >= pair.moved.lowest).sum()) < hit:
        return None
    threshold = float(reaching(pair.scores, np.array([hit]))[0])
    arm = _count(pair.moved, threshold)
    ratio = ratio_at_recall(pair.moved, pair.sums(), pair.level == INCIDENTS)
    value = divide(int(pair.fixed.frame.fp.sum()), int(arm.frame.fp.sum()))
    return Match(threshold, arm, replace(ratio, value=value))


def at_false_alarms(pair: Pair) -> Match | None:
    """The moved side at the lowest threshold with no more false alarm frames than the kept one.

    That is its best recall within the kept side's budget. None where no frame is negative.
    """
    if not pair.swept.n_negative:
        return None
    budget = int(pair.fixed.frame.fp.sum())
    threshold = threshold_within(pair.moved.lowest, pair.swept.frame_fp, budget)
    arm = _count(pair.moved, threshold)
    if not pair.total:
        return Match(threshold, arm, undefined(NO_POSITIVES))
    difference = difference_at_false_alarms(pair.moved, pair.sums(), pair.level == INCIDENTS)
    value = divide(pair.hits(pair.fixed) - pair.hits(arm), pair.total)
    return Match(threshold, arm, replace(difference, value=value))


def _count(moved: Moved, threshold: float) -> ArmCounts:
    arm = DETECTOR if moved.classifier is None else CASCADE
    return count_arm(moved.prepared, OperatingPoint(threshold, moved.classifier), arm)


def matched(a: Side, b: Side, level: str | None = None) -> dict[str, Any]:
    """Side a at b's recall, and at b's false alarm frames; ratios and differences are b's to a's.

    `false_alarm_ratio` below 1 and `recall_difference` above 0 speak for b. Recall is of `level`,
    incidents or frames; None: of incidents, where truth has any.
    """
    moved = _movable(a)
    fixed = count_arm(b.prepared, b.point, b.arm)
    level = level or recall_level(a.prepared)
    pair = Pair(moved, sweep(a.prepared, moved.classifier), b.prepared, fixed, level)
    return {
        "moved": a.name,
        "kept": b.name,
        "level": level,
        "recall": _recall_json(pair, a, b),
        "false_alarms": _false_alarms_json(pair, a, b),
    }


def _recall_json(pair: Pair, a: Side, b: Side) -> dict[str, Any]:
    found = at_recall(pair)
    if found is None:
        why = f"{a.name} does not reach it at any threshold of its log"
        if not pair.total or not pair.hits(pair.fixed):
            why = f"{b.name} finds nothing" if pair.total else NO_POSITIVES
        return {"undefined": why, "detector_threshold": None, "figures": None,
                "false_alarm_ratio": undefined(why).to_json()}  # fmt: skip
    return {
        "undefined": None,
        "detector_threshold": found.threshold,
        "figures": {a.name: pair.figures(found.arm), b.name: pair.figures(pair.fixed)},
        "false_alarm_ratio": found.interval.to_json(),
    }


def _false_alarms_json(pair: Pair, a: Side, b: Side) -> dict[str, Any]:
    found = at_false_alarms(pair)
    if found is None:
        why = NO_NEGATIVES
        return {"undefined": why, "detector_threshold": None, "figures": None, "incidents": None,
                "recall_difference": undefined(why).to_json()}  # fmt: skip
    pairs = incident_pairs(a, found.arm, b, pair.fixed)
    return {
        "undefined": None,
        "detector_threshold": found.threshold,
        "figures": {a.name: pair.figures(found.arm), b.name: pair.figures(pair.fixed)},
        "recall_difference": found.interval.to_json(),
        "incidents": {
            **pairs,
            "mcnemar_p_value": mcnemar(pairs["only_first"], pairs["only_second"]),
            "test": "exact McNemar test over incidents, as if they were independent",
        },
    }


def _movable(side: Side) -> Moved:
    """The side from the lowest detector threshold about which its log can speak."""
    classifier = side.point.classifier if side.arm == CASCADE else None
    thresholds = side.prepared.run.manifest["thresholds"]
    gate = thresholds.get("gate") if classifier is not None else None
    lowest = float(np.float32(max(thresholds["floor"], gate or 0.0)))
    return Moved(side.prepared, classifier, lowest)
