"""An evaluation's figures, and its stable JSON. Undefined is null, never 0 or 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.evaluation.levels import ArmCounts
from forensics.evaluation.log import Floats, Ints
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import Interval, proportion_interval, rate_interval, undefined
from forensics.types import OperatingPoint

SCHEMA = 1
MILLION = 1e6
NO_ROOM = "as two alerts of a file lie more than the gap apart"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The answer to one question: these thresholds, this truth, these rules.

    `arms` holds the figures of `detector` and `cascade` (None when the run has no classifier, or
    it is switched off), `other_views` the strict view of ActEV and the precision at assumed
    prevalences of each; all values are plain numbers, text or None, as in the JSON.
    """

    operating_point: OperatingPoint
    denominators: Mapping[str, Any]
    arms: Mapping[str, Any]
    removal: Mapping[str, Any] | None
    matched_recall: Mapping[str, Any] | None
    matched_false_alarms: Mapping[str, Any] | None
    envelope: Mapping[str, Any] | None
    other_views: Mapping[str, Any]
    calibration: Mapping[str, Any]
    strata: tuple[Mapping[str, Any], ...]
    planted: Mapping[str, int]
    cameras: tuple[Mapping[str, Any], ...]
    rules: Mapping[str, Any]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The stable JSON of `evaluate --format json`."""
        return {
            "schema": SCHEMA,
            "operating_point": {
                "detector": self.operating_point.detector,
                "classifier": self.operating_point.classifier,
            },
            "denominators": dict(self.denominators),
            "arms": dict(self.arms),
            "removal": self.removal,
            "matched_recall": self.matched_recall,
            "matched_false_alarms": self.matched_false_alarms,
            "envelope": self.envelope,
            "other_views": dict(self.other_views),
            "calibration": dict(self.calibration),
            "strata": [dict(row) for row in self.strata],
            "planted": dict(self.planted),
            "cameras": [dict(row) for row in self.cameras],
            "rules": dict(self.rules),
            "notes": list(self.notes),
        }


def divide(part: float, whole: float) -> float | None:
    """A ratio, None where the whole is zero."""
    return float(part) / float(whole) if whole else None


def most_alerts(prepared: Prepared) -> Floats:
    """How many false alerts each media has room for, at most: float64 (M,).

    Each has an alarm frame outside the incidents' zones, and those of two alerts of one file lie
    more than the gap apart: no more than frames, nor than (last - first) / gap + 1.
    """
    timeline, gap_s = prepared.timeline, prepared.rules.gap_s
    most = np.zeros(len(prepared.log.media_id))
    for code in range(len(most)):
        rows = slice(timeline.media_start[code], timeline.media_start[code + 1])
        places = np.flatnonzero(timeline.known[rows] & ~timeline.in_zone[rows])
        if not len(places):
            continue
        time_s = timeline.time_s[rows]
        span_s = float(time_s[places[-1]] - time_s[places[0]])
        most[code] = min(len(places), span_s / gap_s + 1 if gap_s else np.inf)
    return most


def per_camera(prepared: Prepared, counts: Ints | Floats) -> Floats:
    """Sum counts per media (M,) over cameras: float64 (cameras,)."""
    log = prepared.log
    return np.bincount(log.camera, counts, len(log.camera_names)).astype(np.float64)


class ArmFigures:
    """Turns the counts of one arm into figures with intervals between cameras."""

    def __init__(self, prepared: Prepared, arm: ArmCounts) -> None:
        self._prepared = prepared
        self._arm = arm
        self._rules = prepared.rules

    def to_json(self) -> dict[str, Any]:
        return {
            "box": self._box(),
            "frame": self._frame(),
            "event": self._event(),
            "missing_classifier_score": self._arm.missing_score,
        }

    def _share(self, hits: Ints, totals: Ints) -> dict[str, Any]:
        rules, prepared = self._rules, self._prepared
        return proportion_interval(
            per_camera(prepared, hits),
            per_camera(prepared, totals),
            rules.confidence,
            rules.replicates,
            rules.seed,
        ).to_json()

    def _rate(self, events: Ints, exposure: Ints | Floats, factor: float, empty: str) -> Interval:
        prepared = self._prepared
        if not exposure.sum() > 0:
            return undefined(f"undefined: {empty}")
        return rate_interval(
            per_camera(prepared, events), per_camera(prepared, exposure), self._rules.confidence
        ).scaled(factor)

    def _box(self) -> dict[str, Any]:
        prepared, box = self._prepared, self._arm.box
        tp, fp, fn = int(box.tp.sum()), int(box.fp.sum()), int(box.fn.sum())
        known = bool(prepared.ledger.box_frames.sum())
        # Incidents without boxes say nothing on boxes: precision 0 there would be a lie.
        blind = not known or (not tp + fn and bool(prepared.ledger.positive.sum()))
        rate = self._rate(
            box.fp, prepared.ledger.box_frames, MILLION, "no frame has labels at box level"
        )
        return {
            "tp": None if blind else tp,
            "fp": fp if known else None,
            "fn": None if blind else fn,
            "precision": None if blind else divide(tp, tp + fp),
            "recall": None if blind else divide(tp, tp + fn),
            "precision_interval": None if blind else self._share(box.tp, box.tp + box.fp),
            "recall_interval": None if blind else self._share(box.tp, box.tp + box.fn),
            "false_alarms_per_million": rate.to_json(),
            "ignored": int(box.ignored.sum()) if known else None,
            "duplicates": None if blind else int(box.duplicates.sum()),
            "froc": None
            if blind
            else {"found": int(box.found.sum()), "fp": fp - int(box.duplicates.sum())},
        }

    def _frame(self) -> dict[str, Any]:
        frame, ledger = self._arm.frame, self._prepared.ledger
        sums = {name: int(getattr(frame, name).sum()) for name in ("tp", "fp", "fn", "tn")}
        known = bool(ledger.evaluated.sum())
        rate = self._rate(frame.fp, ledger.negative, MILLION, "truth has no negative frames")
        rate = rate.at_most(MILLION)
        footage = divide(sums["fp"], int(ledger.footage.sum()))
        localised, missed = int(frame.localised_tp.sum()), int(frame.localised_fn.sum())
        return {
            **{name: value if known else None for name, value in sums.items()},
            "precision": divide(sums["tp"], sums["tp"] + sums["fp"]),
            "recall": divide(sums["tp"], sums["tp"] + sums["fn"]),
            "false_alarms_per_million": rate.to_json(),
            "precision_interval": self._share(frame.tp, frame.tp + frame.fp),
            "recall_interval": self._share(frame.tp, frame.tp + frame.fn),
            "false_alarms_per_million_footage": None
            if footage is None or not known
            else MILLION * footage,
            "localised": {
                "tp": localised if localised + missed else None,
                "fn": missed if localised + missed else None,
                "recall": divide(localised, localised + missed),
            },
            "unverified": int(frame.unverified.sum()),
        }

    def _event(self) -> dict[str, Any]:
        event, ledger = self._arm.event, self._prepared.ledger
        names = ("incidents", "detected", "alerts", "false_alerts", "repeat_alerts")
        sums = {name: int(getattr(event, name).sum()) for name in names}
        true, false = event.true_alerts, event.false_alerts
        known = bool(ledger.timed_frames.sum()) or sums["incidents"] > 0
        hours = float(ledger.hours_negative.sum())
        rate = self._rate(false, ledger.hours_negative, 1.0, "no time without a target")
        if hours > 0:
            rate = rate.at_most(float(most_alerts(self._prepared).sum()) / hours, NO_ROOM)
        return {
            "incidents": sums["incidents"] if known else None,
            "detected": sums["detected"] if known else None,
            "recall": divide(sums["detected"], sums["incidents"]),
            "alerts": sums["alerts"] if known else None,
            "false_alerts": sums["false_alerts"] if known else None,
            "repeat_alerts": sums["repeat_alerts"] if known else None,
            "precision": divide(int(true.sum()), int(true.sum() + false.sum())),
            "false_alerts_per_camera_hour": rate.to_json(),
            "latency_s": self._latency(),
            "recall_interval": self._share(event.detected, event.incidents),
            "precision_interval": self._share(true, true + false),
            "unverified_alerts": int(event.unverified_alerts.sum()) if known else None,
            "incidents_unseen": int((~self._prepared.incidents.seen).sum()) if known else None,
        }

    def _latency(self) -> dict[str, Any]:
        """Quantiles over all incidents, misses being infinite: null = not within any time."""
        latency_s = self._arm.alerts.latency_s
        if not len(latency_s):
            return {"median": None, "p90": None, "max": None, "incidents": 0, "missed": None}
        values = np.quantile(latency_s, [0.5, 0.9, 1.0], method="inverted_cdf")
        median, p90, worst = (float(v) if np.isfinite(v) else None for v in values)
        missed = int(np.isinf(latency_s).sum())
        return {"median": median, "p90": p90, "max": worst, "incidents": len(latency_s),
                "missed": missed}  # fmt: skip
