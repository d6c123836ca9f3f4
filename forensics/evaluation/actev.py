"""The strict view of ActEV SDL_V2, beside the operator's: one alert per incident, no collar.

Alerts and incidents are matched one to one, at an overlap of 1 s or more (half of an incident
shorter than that); all other alerts are false, repeats too. Source: ActEV_Scorer b8d82c0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from forensics.evaluation.levels import ArmCounts
from forensics.evaluation.log import Floats, Ints
from forensics.evaluation.prepare import Prepared

LEAST_OVERLAP_S = 1.0


@dataclass(frozen=True, slots=True)
class StrictView:
    """Matched, missed and false alerts; `rate_per_minute` false alerts over all minutes (R_FA);
    `time_share` alert time outside incidents over all time outside incidents (T_FA)."""

    matched: int
    missed: int
    false: int
    rate_per_minute: float | None
    time_share: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "matched": self.matched,
            "missed": self.missed,
            "false": self.false,
            "rate_per_minute": self.rate_per_minute,
            "time_share": self.time_share,
        }


def strict_view(alerts: Floats, incidents: Floats, duration_s: float) -> StrictView:
    """Score one file: `alerts` (A, 2) and `incidents` (K, 2) are half-open spans in seconds."""
    low = np.maximum(alerts[:, None, 0], incidents[None, :, 0])
    high = np.minimum(alerts[:, None, 1], incidents[None, :, 1])
    overlap = np.maximum(high - low, 0)
    length = incidents[:, 1] - incidents[:, 0]
    least = np.where(length < LEAST_OVERLAP_S, length / 2, LEAST_OVERLAP_S)
    able = (overlap >= least[None, :]) & (overlap > 0)
    # As many matches as possible first, then as much overlap as possible.
    gain = np.where(able, 1 + overlap / (1 + overlap.sum()), 0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    matched = int(able[rows, columns].sum())
    outside = duration_s - _covered(incidents)
    excess = _covered(np.concatenate([alerts, incidents])) - _covered(incidents)
    return StrictView(
        matched=matched,
        missed=len(incidents) - matched,
        false=len(alerts) - matched,
        rate_per_minute=(len(alerts) - matched) / (duration_s / 60) if duration_s > 0 else None,
        time_share=excess / outside if outside > 0 else None,
    )


def _covered(spans: Floats) -> float:
    """Length of the union of spans."""
    total, reached = 0.0, -np.inf
    for start_s, end_s in sorted(spans.tolist()):
        total += max(0.0, end_s - max(start_s, reached))
        reached = max(reached, end_s)
    return total


def strict_arm(prepared: Prepared, arm: ArmCounts) -> StrictView:
    """Score one arm of a run; alerts last from their first to their last alarm frame.

    Unverified alerts are left out, and files without a label take no part.
    """
    timeline, incidents, ledger = prepared.timeline, prepared.incidents, prepared.ledger
    parts, minutes, excess, outside = [], 0.0, 0.0, 0.0
    spans = _alert_spans(arm, timeline.time_s)
    true_spans = np.stack([incidents.start_s, incidents.end_s], axis=1)
    for code in np.flatnonzero(ledger.timed_frames).tolist():
        rows = slice(timeline.media_start[code], timeline.media_start[code + 1])
        duration_s = float(np.ptp(timeline.time_s[rows]))
        mine, here = (_of_media(each.media, code) for each in (arm.alerts, incidents))
        true = true_spans[here]
        view = strict_view(spans[mine][~arm.alerts.unverified[mine]], true, duration_s)
        parts.append((view.matched, view.missed, view.false))
        minutes += duration_s / 60
        free_s = duration_s - _covered(true)
        outside += free_s
        excess += (view.time_share or 0.0) * free_s
    matched, missed, false = (
        (sum(column) for column in zip(*parts, strict=True)) if parts else (0,) * 3
    )
    return StrictView(
        matched,
        missed,
        false,
        false / minutes if minutes else None,
        excess / outside if outside else None,
    )


def _of_media(ascending: Ints, code: int) -> slice:
    low, high = np.searchsorted(ascending, [code, code + 1])
    return slice(int(low), int(high))


def _alert_spans(arm: ArmCounts, time_s: Floats) -> Floats:
    position, alert = arm.alerts.position, arm.alerts.alert
    count = len(arm.alerts.media)
    spans = np.zeros((count, 2), np.float64)
    first: Ints = np.searchsorted(alert, np.arange(count), "left")
    last: Ints = np.searchsorted(alert, np.arange(count), "right") - 1
    spans[:, 0], spans[:, 1] = time_s[position[first]], time_s[position[last]]
    return spans
