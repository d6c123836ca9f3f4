"""Fair comparison of the arms: what the classifier removes, and what raising the detector's own
threshold would have done instead.

At equal detector thresholds the cascade's survivors are a subset, so that fewer false alarms are
no merit as such. Raising the detector threshold is the free alternative: it is the yardstick.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from forensics.evaluation.curves import Sweep, at_least, sweep
from forensics.evaluation.levels import DETECTOR, ArmCounts, count_arm
from forensics.evaluation.log import Ints, Scores
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import undefined
from forensics.evaluation.rematch import (
    Moved,
    difference_at_false_alarms,
    kept_sums,
    ratio_at_recall,
)
from forensics.types import OperatingPoint

EVENT, FRAME = "event", "frame"
NO_POSITIVES = "truth has no positives"
FINDS_NOTHING = "the cascade detects nothing"


def removal(detector: ArmCounts, cascade: ArmCounts) -> dict[str, dict[str, int | None]]:
    """True positives lost and false positives removed by the classifier, net, at each level.

    Net, because a rejected box may free its truth box for another; false alerts removed can be
    negative, as removing frames may split an alert in two.
    """
    box, frame = detector.box, detector.frame
    event = detector.event
    return {
        "box": {
            "tp_lost": _fall(box.tp, cascade.box.tp),
            "fp_removed": _fall(box.fp, cascade.box.fp),
        },
        "frame": {
            "tp_lost": _fall(frame.tp, cascade.frame.tp),
            "fp_removed": _fall(frame.fp, cascade.frame.fp),
        },
        "event": {
            "tp_lost": _fall(event.detected, cascade.event.detected),
            "fp_removed": _fall(event.false_alerts, cascade.event.false_alerts),
        },
    }


def _fall(before: Any, after: Any) -> int:
    return int(before.sum()) - int(after.sum())


def matched_recall(
    prepared: Prepared, cascade: ArmCounts, swept: Sweep | None = None
) -> dict[str, Any]:
    """The detector alone at the highest threshold that reaches the cascade's recall.

    Recall of incidents, or of frames where there are none. `false_alarm_ratio` is the cascade's
    false alarm frames over the detector's: below 1 the classifier earns its keep. Its interval
    is a paired bootstrap over cameras in which the threshold is chosen anew each time. `swept` is
    `sweep(prepared, None)`, if it is at hand.
    """
    swept = swept or sweep(prepared, None)
    level, scores, total, hit = _recalled(swept, cascade)
    if not total or not hit:
        why = NO_POSITIVES if not total else FINDS_NOTHING
        return {"level": level, "undefined": why, "detector_threshold": None, "recall": None,
                "detector": None, "cascade": None, "false_alarm_ratio": None,
                "false_alarm_ratio_interval": undefined(why).to_json()}  # fmt: skip
    threshold = float(reaching(scores, np.array([hit]))[0])
    arm = count_arm(prepared, OperatingPoint(threshold, None), DETECTOR)
    detector, own = _figures(swept, arm), _figures(swept, cascade)
    ratio = _divide(own["false_alarm_frames"], detector["false_alarm_frames"])
    incidents = level == EVENT
    limits = ratio_at_recall(_alone(prepared), kept_sums(prepared, cascade, incidents), incidents)
    return {
        "level": level,
        "undefined": None,
        "detector_threshold": threshold,
        "recall": hit / total,
        "detector": detector,
        "cascade": own,
        "false_alarm_ratio": ratio,
        "false_alarm_ratio_interval": replace(limits, value=ratio).to_json(),
    }


def matched_false_alarms(
    prepared: Prepared, cascade: ArmCounts, swept: Sweep | None = None
) -> dict[str, Any]:
    """The detector alone at the lowest threshold with no more false alarm frames than the cascade.

    That is the detector's best recall within the cascade's budget. `recall_difference` is the
    cascade's recall minus the detector's, with an interval as in `matched_recall`.
    """
    swept = swept or sweep(prepared, None)
    level, _, total, hit = _recalled(swept, cascade)
    budget = int(cascade.frame.fp.sum())
    floor = float(prepared.run.manifest["thresholds"]["floor"])
    threshold = threshold_within(floor, swept.frame_fp, budget)
    if not swept.n_negative:
        empty = "truth has no negative frames"
        return {"level": level, "undefined": empty,
                "detector_threshold": None, "detector": None, "cascade": None,
                "recall_difference": None,
                "recall_difference_interval": undefined(empty).to_json()}  # fmt: skip
    arm = count_arm(prepared, OperatingPoint(threshold, None), DETECTOR)
    detected = int((arm.event.detected if level == EVENT else arm.frame.tp).sum())
    why = "" if total else NO_POSITIVES
    difference = (hit - detected) / total if total else None
    incidents = level == EVENT
    limits = undefined(why) if why else difference_at_false_alarms(
        _alone(prepared), kept_sums(prepared, cascade, incidents), incidents
    )  # fmt: skip
    return {
        "level": level,
        "undefined": why or None,
        "detector_threshold": threshold,
        "detector": _figures(swept, arm),
        "cascade": _figures(swept, cascade),
        "recall_difference": difference,
        "recall_difference_interval": replace(limits, value=difference).to_json(),
    }


def reaching(scores: Scores, hits: Ints) -> Scores:
    """Highest thresholds at which `hits` (n,) of the ascending scores count: float32 (n,).

    Each of `hits` is 1 or more and at most the number of scores.
    """
    return np.asarray(scores[len(scores) - hits], np.float32)


def at_equal_recall(swept: Sweep, level: str, hits: Ints) -> tuple[Scores, Ints]:
    """The detector alone where it finds as many: thresholds, and its false alarm frames there.

    `swept` is `sweep(prepared, None)`; `hits` (n,) are incidents, or frames with a target, as
    `level` (`EVENT`, `FRAME`) says; each is 1 or more and found at the lowest threshold of the
    log. The same threshold and the same frames as in `matched_recall`.
    """
    thresholds = reaching(swept.incident if level == EVENT else swept.frame_tp, hits)
    return thresholds, at_least(swept.frame_fp, thresholds)


def _alone(prepared: Prepared) -> Moved:
    """The detector alone, from the floor of the log up."""
    return Moved(prepared, None, float(np.float32(prepared.run.manifest["thresholds"]["floor"])))


def _recalled(swept: Sweep, cascade: ArmCounts) -> tuple[str, Any, int, int]:
    if swept.n_incidents:
        return EVENT, swept.incident, swept.n_incidents, int(cascade.event.detected.sum())
    return FRAME, swept.frame_tp, swept.n_positive, int(cascade.frame.tp.sum())


def threshold_within(lowest: float, scores: Scores, budget: int) -> float:
    """Lowest threshold, not below `lowest`, that at most `budget` of the ascending scores reach."""
    if int(at_least(scores, np.array([lowest], np.float32))[0]) <= budget:
        return lowest
    over = scores[len(scores) - budget - 1]  # the first that must not alarm
    return float(np.nextafter(over, np.float32(np.inf), dtype=np.float32))


def _figures(swept: Sweep, arm: ArmCounts) -> dict[str, Any]:
    false_frames, false_alerts = int(arm.frame.fp.sum()), int(arm.event.false_alerts.sum())
    true_frames, detected = int(arm.frame.tp.sum()), int(arm.event.detected.sum())
    rate = _divide(false_frames, swept.n_negative)
    return {
        "incidents_detected": detected if swept.n_incidents else None,
        "incident_recall": _divide(detected, swept.n_incidents),
        "frame_recall": _divide(true_frames, swept.n_positive),
        "false_alarm_frames": false_frames,
        "false_alarms_per_million": None if rate is None else 1e6 * rate,
        "false_alerts": false_alerts,
    }


def _divide(part: float, whole: float) -> float | None:
    return part / whole if whole else None
