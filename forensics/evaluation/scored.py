"""One operating point on some of the cameras: recall and false alarms with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forensics.evaluation.levels import CASCADE, DETECTOR, count_arm
from forensics.evaluation.log import Floats
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import proportion_interval, rate_interval
from forensics.evaluation.result import MILLION, NO_ROOM, most_alerts, per_camera
from forensics.types import OperatingPoint

INCIDENTS, FRAMES = "incidents", "frames"


def recall_level(prepared: Prepared) -> str:
    """Recall is of incidents; of frames where the truth has no incident with a clock."""
    return INCIDENTS if len(prepared.incidents) else FRAMES


def scored_on(prepared: Prepared, point: OperatingPoint, cameras: Sequence[int]) -> dict[str, Any]:
    """Figures of `point` on the given cameras; rates per camera-day and per million frames."""
    arm = count_arm(prepared, point, DETECTOR if point.classifier is None else CASCADE)
    rules, ledger = prepared.rules, prepared.ledger

    def of(counts: Any) -> Floats:
        return per_camera(prepared, counts)[list(cameras)]

    level = recall_level(prepared)
    event, frame = arm.event, arm.frame
    hits, totals = of(event.detected), of(event.incidents)
    true, false = of(event.true_alerts), of(event.false_alerts)
    if level == FRAMES:
        hits, totals = of(frame.tp), of(ledger.positive)
        true, false = of(frame.tp), of(frame.fp)
    bootstrap = (rules.confidence, rules.replicates, rules.seed)
    false_frames, false_alerts = of(frame.fp), of(event.false_alerts)
    days, millions = of(ledger.hours_negative) / 24, of(ledger.negative) / 1e6
    alerts = rate_interval(false_alerts, days, rules.confidence)
    if days.sum() > 0:
        alerts = alerts.at_most(float(of(most_alerts(prepared)).sum() / days.sum()), NO_ROOM)
    return {
        "operating_point": {"detector": point.detector, "classifier": point.classifier},
        "cameras": len(cameras),
        "recall_of": level,
        "positives": round(float(totals.sum())),
        "found": round(float(hits.sum())),
        "recall": proportion_interval(hits, totals, *bootstrap).to_json(),
        "precision": proportion_interval(true, true + false, *bootstrap).to_json(),
        "camera_days_negative": float(days.sum()),
        "false_alerts": round(float(false_alerts.sum())),
        "false_alerts_per_camera_day": alerts.to_json(),
        "frames_negative": round(1e6 * float(millions.sum())),
        "false_alarm_frames": round(float(false_frames.sum())),
        "false_alarms_per_million": rate_interval(false_frames, millions, rules.confidence)
        .at_most(MILLION)
        .to_json(),
    }
