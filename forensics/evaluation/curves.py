"""Exact curves over the detector threshold, with the classifier off or at a fixed threshold.

With everything else fixed, a greedy decision depends only on better-scored detections, so that
matching once, at the lowest threshold, is exact for every higher one. Over the classifier
threshold it is not: see `surface`, which matches again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forensics.errors import ForensicsError
from forensics.evaluation.align import NEGATIVE, POSITIVE
from forensics.evaluation.events import NO_SCORE, alarm_scores, frame_scores, incident_scores
from forensics.evaluation.levels import CASCADE, DETECTOR
from forensics.evaluation.log import Ints, Scores
from forensics.evaluation.match import FALSE, TRUE, match, survivors
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rules import check_operating_point
from forensics.types import OperatingPoint

DEFAULT_POINTS = 400


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """What one arm does over the detector threshold, as ascending float32 scores.

    Something counts at threshold t when its score is t or more: `box_tp`, `box_fp` (detections),
    `frame_tp`, `frame_fp` (best score of the frame), `incident` (score at which it is detected).
    The totals do not depend on t.
    """

    box_tp: Scores
    box_fp: Scores
    frame_tp: Scores
    frame_fp: Scores
    incident: Scores
    n_gt: int
    n_box_frames: int
    n_positive: int
    n_negative: int
    n_incidents: int


def sweep(prepared: Prepared, classifier: float | None) -> Sweep:
    """Match once with the classifier off (None) or at `classifier`."""
    log, labels, ledger = prepared.log, prepared.labels, prepared.ledger
    alive = survivors(log, labels, None, classifier)
    outcome, _ = match(prepared.pairs, alive)
    counts = labels.has_boxes[log.det_frame]
    frames = frame_scores(log, alive & prepared.alarming)
    alarms = alarm_scores(log, prepared.timeline, alive & prepared.alarming, prepared.rules)
    fired = log.ok & (frames > NO_SCORE)
    return Sweep(
        box_tp=np.sort(log.score[counts & (outcome == TRUE)]),
        box_fp=np.sort(log.score[counts & (outcome == FALSE)]),
        frame_tp=np.sort(frames[fired & (labels.frame == POSITIVE)]),
        frame_fp=np.sort(frames[fired & (labels.frame == NEGATIVE)]),
        incident=np.sort(incident_scores(prepared.incidents, alarms)),
        n_gt=int(prepared.pairs.n_gt.sum()),
        n_box_frames=int(ledger.box_frames.sum()),
        n_positive=int(ledger.positive.sum()),
        n_negative=int(ledger.negative.sum()),
        n_incidents=len(prepared.incidents),
    )


def check_floor(prepared: Prepared, ascending: Scores) -> None:
    """Refuse detector thresholds at which the log does not hold every box."""
    floor = np.float32(prepared.run.manifest["thresholds"]["floor"])
    if len(ascending) and ascending[0] < floor:
        raise ForensicsError(
            f"detector threshold {ascending[0]:g} is below the run's logging floor {floor:g}; "
            "start the grid there"
        )


def at_least(scores: Scores, thresholds: Scores) -> Ints:
    """How many of the ascending scores reach each threshold: int64."""
    return (len(scores) - np.searchsorted(scores, thresholds, "left")).astype(np.int64)


def reaching(scores: Scores, hits: Ints) -> Scores:
    """Highest thresholds at which `hits` (n,) of the ascending scores count: float32 (n,).

    Each of `hits` is 1 or more and at most the number of scores.
    """
    return np.asarray(scores[len(scores) - hits], np.float32)


def threshold_within(lowest: float, scores: Scores, budget: int) -> float:
    """Lowest threshold, not below `lowest`, that at most `budget` of the ascending scores reach."""
    if int(at_least(scores, np.array([lowest], np.float32))[0]) <= budget:
        return lowest
    over = scores[len(scores) - budget - 1]  # the first that must not alarm
    return float(np.nextafter(over, np.float32(np.inf), dtype=np.float32))


def curves(
    prepared: Prepared,
    point: OperatingPoint,
    *,
    thresholds: Sequence[float] | None = None,
    points: int = DEFAULT_POINTS,
) -> pd.DataFrame:
    """Precision, recall and false alarms of both arms over the detector threshold.

    One row per arm and threshold; undefined figures are NaN. Without `thresholds`, those scores
    are taken at which something changes, at most about `points`, the operating point among them;
    the cascade keeps the classifier threshold of `point`. Raises ForensicsError for thresholds
    below the run's floor.
    """
    check_operating_point(prepared.run, point)
    if thresholds is not None:
        check_floor(prepared, np.unique(np.asarray(thresholds, np.float32)))
    parts = [_curve(sweep(prepared, None), DETECTOR, point, thresholds, points)]
    if point.classifier is not None:
        gate = float(prepared.run.manifest["thresholds"].get("gate") or 0.0)
        frame = _curve(sweep(prepared, point.classifier), CASCADE, point, thresholds, points)
        parts.append(frame[frame["threshold"] >= np.float32(gate)])
    return pd.concat(parts, ignore_index=True)


def _curve(
    swept: Sweep,
    arm: str,
    point: OperatingPoint,
    thresholds: Sequence[float] | None,
    points: int,
) -> pd.DataFrame:
    grid = (
        _grid(swept, point.detector, points)
        if thresholds is None
        else np.unique(np.asarray(thresholds, np.float32))
    )
    box_tp, box_fp = at_least(swept.box_tp, grid), at_least(swept.box_fp, grid)
    frame_tp, frame_fp = at_least(swept.frame_tp, grid), at_least(swept.frame_fp, grid)
    detected = at_least(swept.incident, grid)
    columns: dict[str, Any] = {
        "arm": arm,
        "threshold": grid,
        "classifier": np.nan if arm == DETECTOR else point.classifier,
        "box_tp": box_tp,
        "box_fp": box_fp,
        "box_precision": ratio(box_tp, box_tp + box_fp) if swept.n_gt else np.nan,
        "box_recall": ratio(box_tp, swept.n_gt),
        "box_false_per_million": 1e6 * ratio(box_fp, swept.n_box_frames),
        "frame_tp": frame_tp,
        "frame_fp": frame_fp,
        "frame_precision": ratio(frame_tp, frame_tp + frame_fp),
        "frame_recall": ratio(frame_tp, swept.n_positive),
        "frame_false_per_million": 1e6 * ratio(frame_fp, swept.n_negative),
        "incidents_detected": detected,
        "incident_recall": ratio(detected, swept.n_incidents),
    }
    return pd.DataFrame(columns)


def ratio(part: Ints, whole: Ints | int) -> Any:
    """`part` / `whole` as float64, NaN where the whole is zero."""
    top, bottom = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def _grid(swept: Sweep, chosen: float, points: int) -> Scores:
    """Ascending thresholds, thinned evenly over the changes of every kind of count."""
    kinds = (swept.box_tp, swept.box_fp, swept.frame_tp, swept.frame_fp, swept.incident)
    share = max(2, points // len(kinds))
    kept = [np.array([chosen], np.float32)]
    for scores in kinds:
        distinct = np.unique(scores[scores > NO_SCORE])
        if len(distinct) > share:
            distinct = distinct[np.linspace(0, len(distinct) - 1, share).round().astype(np.int64)]
        kept.append(distinct)
    return np.unique(np.concatenate(kept))
