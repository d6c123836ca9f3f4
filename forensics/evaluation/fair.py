"""Fair comparison of the arms: what the classifier removes, and what raising the detector's own
threshold would have done instead.

At equal detector thresholds the cascade's survivors are a subset, so that fewer false alarms are
no merit as such. Raising the detector threshold is the free alternative: it is the yardstick.
"""

from __future__ import annotations

from typing import Any

from forensics.evaluation.curves import Sweep, at_least, reaching, sweep
from forensics.evaluation.levels import ArmCounts
from forensics.evaluation.log import Ints, Scores
from forensics.evaluation.matched import (
    NO_NEGATIVES,
    NO_POSITIVES,
    Pair,
    at_false_alarms,
    at_recall,
)
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import undefined
from forensics.evaluation.rematch import Moved
from forensics.evaluation.scored import INCIDENTS, recall_level

EVENT, FRAME = "event", "frame"
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
    pair = _pair(prepared, cascade, swept)
    found = at_recall(pair)
    if found is None:
        why = FINDS_NOTHING if pair.total else NO_POSITIVES
        return {"level": _level(pair), "undefined": why, "detector_threshold": None, "recall": None,
                "detector": None, "cascade": None, "false_alarm_ratio": None,
                "false_alarm_ratio_interval": undefined(why).to_json()}  # fmt: skip
    return {
        "level": _level(pair),
        "undefined": None,
        "detector_threshold": found.threshold,
        "recall": pair.hits(cascade) / pair.total,
        "detector": pair.figures(found.arm),
        "cascade": pair.figures(cascade),
        "false_alarm_ratio": found.interval.value,
        "false_alarm_ratio_interval": found.interval.to_json(),
    }


def matched_false_alarms(
    prepared: Prepared, cascade: ArmCounts, swept: Sweep | None = None
) -> dict[str, Any]:
    """The detector alone at the lowest threshold with no more false alarm frames than the cascade.

    That is the detector's best recall within the cascade's budget. `recall_difference` is the
    cascade's recall minus the detector's, with an interval as in `matched_recall`.
    """
    pair = _pair(prepared, cascade, swept)
    found = at_false_alarms(pair)
    if found is None:
        return {"level": _level(pair), "undefined": NO_NEGATIVES,
                "detector_threshold": None, "detector": None, "cascade": None,
                "recall_difference": None,
                "recall_difference_interval": undefined(NO_NEGATIVES).to_json()}  # fmt: skip
    return {
        "level": _level(pair),
        "undefined": None if pair.total else NO_POSITIVES,
        "detector_threshold": found.threshold,
        "detector": pair.figures(found.arm),
        "cascade": pair.figures(cascade),
        "recall_difference": found.interval.value,
        "recall_difference_interval": found.interval.to_json(),
    }


def _pair(prepared: Prepared, cascade: ArmCounts, swept: Sweep | None) -> Pair:
    """The detector alone, from the floor of the log up, and the cascade where it is."""
    alone = Moved(prepared, None, float(prepared.run.manifest["thresholds"]["floor"]))
    return Pair(
        alone, swept or sweep(prepared, None), prepared, cascade, level=recall_level(prepared)
    )


def _level(pair: Pair) -> str:
    return EVENT if pair.level == INCIDENTS else FRAME


def at_equal_recall(swept: Sweep, level: str, hits: Ints) -> tuple[Scores, Ints]:
    """The detector alone where it finds as many: thresholds, and its false alarm frames there.

    `swept` is `sweep(prepared, None)`; `hits` (n,) are incidents, or frames with a target, as
    `level` (`EVENT`, `FRAME`) says; each is 1 or more and found at the lowest threshold of the
    log. The same threshold and the same frames as in `matched_recall`.
    """
    thresholds = reaching(swept.incident if level == EVENT else swept.frame_tp, hits)
    return thresholds, at_least(swept.frame_fp, thresholds)
