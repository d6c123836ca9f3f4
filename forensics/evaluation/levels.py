"""Counts of one arm at one operating point, per media, at box, frame and event level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensics.evaluation.align import NEGATIVE, POSITIVE
from forensics.evaluation.events import Alerts, alarm_scores, frame_scores, raise_alerts
from forensics.evaluation.log import Bools, Ints
from forensics.evaluation.match import FALSE, IGNORED, TRUE, Outcomes, match, survivors
from forensics.evaluation.prepare import Prepared
from forensics.types import OperatingPoint

DETECTOR, CASCADE = "detector", "cascade"
ARMS = (DETECTOR, CASCADE)


@dataclass(frozen=True, slots=True, eq=False)
class BoxCounts:
    """int64 (M,) each. `fp` includes `duplicates`; `found`: truth boxes with any box in reach."""

    tp: Ints
    fp: Ints
    fn: Ints
    ignored: Ints
    duplicates: Ints
    found: Ints


@dataclass(frozen=True, slots=True, eq=False)
class FrameCounts:
    """int64 (M,) each. Localised: some box reaches a truth box, on frames that have boxes."""

    tp: Ints
    fp: Ints
    fn: Ints
    tn: Ints
    localised_tp: Ints
    localised_fn: Ints
    unverified: Ints


@dataclass(frozen=True, slots=True, eq=False)
class EventCounts:
    """int64 (M,) each; alerts = true + false + unverified, repeat are part of the true."""

    incidents: Ints
    detected: Ints
    alerts: Ints
    true_alerts: Ints
    false_alerts: Ints
    unverified_alerts: Ints
    repeat_alerts: Ints


@dataclass(frozen=True, slots=True, eq=False)
class ArmCounts:
    """One arm. `alive`, `outcome` per detection (D,); `missing_score`: boxes above the detector
    threshold that the arm rejected because they have no classifier score."""

    box: BoxCounts
    frame: FrameCounts
    event: EventCounts
    alerts: Alerts
    alive: Bools
    outcome: Outcomes
    missing_score: int


def count_arm(prepared: Prepared, point: OperatingPoint, arm: str) -> ArmCounts:
    """Count one arm; `arm` is `detector` (classifier off) or `cascade`."""
    log, labels = prepared.log, prepared.labels
    classifier = point.classifier if arm == CASCADE else None
    alive = survivors(log, labels, point.detector, classifier)
    missing = 0
    if classifier is not None:
        passed = survivors(log, labels, point.detector, None)
        missing = int((passed & np.isnan(log.target)).sum())
    outcome, taken = match(prepared.pairs, alive)
    alarms = (
        alarm_scores(log, prepared.timeline, alive & prepared.alarming, prepared.rules) > -np.inf
    )
    alerts = raise_alerts(prepared.timeline, prepared.incidents, alarms, prepared.rules)
    return ArmCounts(
        box=_box(prepared, alive, outcome, taken),
        frame=_frame(prepared, alive),
        event=_event(prepared, alerts),
        alerts=alerts,
        alive=alive,
        outcome=outcome,
        missing_score=missing,
    )


def _box(prepared: Prepared, alive: Bools, outcome: Outcomes, taken: Ints) -> BoxCounts:
    log, labels, pairs = prepared.log, prepared.labels, prepared.pairs
    media = log.frame_media[log.det_frame]
    counts = labels.has_boxes[log.det_frame]
    n_media = len(log.media_id)

    def count(mask: Bools) -> Ints:
        return np.bincount(media[mask & counts], minlength=n_media).astype(np.int64)

    tp = count(outcome == TRUE)
    in_reach = np.zeros(len(alive), np.bool_)
    in_reach[pairs.candidate] = True
    alive_pairs = np.repeat(alive[pairs.candidate], np.diff(pairs.start))
    found = np.unique(pairs.gt[alive_pairs])
    found_media = log.frame_media[labels.boxes.frame[found]]
    return BoxCounts(
        tp=tp,
        fp=count(outcome == FALSE),
        fn=pairs.n_gt - tp,
        ignored=count(outcome == IGNORED),
        duplicates=count((outcome == FALSE) & in_reach),
        found=np.bincount(found_media, minlength=n_media).astype(np.int64),
    )


def _frame(prepared: Prepared, alive: Bools) -> FrameCounts:
    log, labels, pairs = prepared.log, prepared.labels, prepared.pairs

    def count(mask: Bools) -> Ints:
        return log.count(mask & log.ok)

    alert = frame_scores(log, alive & prepared.alarming) > -np.inf
    on_target = np.zeros(len(log.score), np.bool_)
    on_target[pairs.candidate] = alive[pairs.candidate]
    localised = frame_scores(log, on_target) > -np.inf
    positive, negative = labels.frame == POSITIVE, labels.frame == NEGATIVE
    boxed = positive & labels.has_boxes
    return FrameCounts(
        tp=count(alert & positive),
        fp=count(alert & negative),
        fn=count(~alert & positive),
        tn=count(~alert & negative),
        localised_tp=count(localised & boxed),
        localised_fn=count(~localised & boxed),
        unverified=count(alert & ~positive & ~negative),
    )


def _event(prepared: Prepared, alerts: Alerts) -> EventCounts:
    n_media = len(prepared.log.media_id)
    incidents = prepared.incidents

    def count(media: Ints) -> Ints:
        return np.bincount(media, minlength=n_media).astype(np.int64)

    return EventCounts(
        incidents=count(incidents.media),
        detected=count(incidents.media[np.isfinite(alerts.latency_s)]),
        alerts=count(alerts.media),
        true_alerts=count(alerts.media[alerts.true]),
        false_alerts=count(alerts.media[~alerts.true & ~alerts.unverified]),
        unverified_alerts=count(alerts.media[alerts.unverified]),
        repeat_alerts=count(alerts.media[alerts.repeat]),
    )
