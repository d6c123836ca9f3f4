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
from forensics.evaluation.curves import sweep
from forensics.evaluation.events import NO_SCORE
from forensics.evaluation.fair import threshold_within
from forensics.evaluation.levels import CASCADE, ArmCounts, count_arm
from forensics.evaluation.log import Floats, Scores
from forensics.evaluation.paired import mcnemar
from forensics.evaluation.rates import FEW_CAMERAS, Interval, tail_levels, undefined
from forensics.evaluation.result import divide, per_camera
from forensics.evaluation.scored import INCIDENTS, recall_level
from forensics.evaluation.surface import surfaces
from forensics.types import OperatingPoint

GRID = 200


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Counts per camera (cameras,), or per camera and threshold (cameras, thresholds)."""

    hits: Floats
    false: Floats


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
    ratio = _reselected(a, b, fixed, level, threshold, at_recall=True)
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
        _reselected(a, b, fixed, level, threshold, at_recall=False)
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


def _reselected(
    a: Side, b: Side, fixed: ArmCounts, level: str, threshold: float, *, at_recall: bool
) -> Interval:
    """Percentile interval over cameras; a's threshold is chosen anew in every replicate."""
    rules = a.prepared.rules
    kept, swept, total = _fixed_sums(a, b, fixed, level), *_swept(a, level, threshold)
    used = (total > 0) | (per_camera(a.prepared, a.prepared.ledger.negative) > 0)
    n = int(used.sum())
    if n < 2:
        return Interval(None, None, None, "no interval: one camera")
    draws = np.random.default_rng(rules.seed).multinomial(n, np.full(n, 1 / n), rules.replicates)
    weights = draws.astype(np.float64)
    hits_b, false_b = weights @ kept.hits[used], weights @ kept.false[used]
    hits_a, false_a = weights @ swept.hits[used], weights @ swept.false[used]
    exists = weights @ total[used]
    rows = np.arange(len(weights))
    if at_recall:
        fits = hits_a >= hits_b[:, None]  # thresholds ascend: the last that fits is the strictest
        place = fits.shape[1] - 1 - np.argmax(fits[:, ::-1], axis=1)
        top, bottom = false_b, false_a[rows, place]
    else:
        fits = false_a <= false_b[:, None]
        place = np.argmax(fits, axis=1)
        top, bottom = hits_b - hits_a[rows, place], exists
    # Nothing over nothing says nothing; something over nothing is beyond any limit.
    fine = fits.any(axis=1) & ((hits_b > 0) & (top + bottom > 0) if at_recall else bottom > 0)
    words = (
        f"paired camera bootstrap (percentile) over {n} cameras, {100 * rules.confidence:g} %, "
        f"threshold chosen anew in each of {rules.replicates} replicates, seed {rules.seed}; "
        f"defined in {int(fine.sum())} of them"
    )
    return _percentile(top[fine], bottom[fine], rules.confidence, words, n)


def _percentile(
    top: Floats, bottom: Floats, confidence: float, words: str, cameras: int
) -> Interval:
    """Limits of top / bottom over replicates; a limit beyond all numbers is None."""
    words += f"; under {FEW_CAMERAS} cameras: too narrow" if cameras < FEW_CAMERAS else ""
    if not len(top):
        return Interval(None, None, None, words)
    sample = np.divide(top, bottom, out=np.full(len(top), np.inf), where=bottom > 0)
    low, high = np.quantile(sample, tail_levels(confidence), method="inverted_cdf").tolist()
    if not np.isfinite(high):
        words += "; no upper limit: in many of them the other side has no false alarm"
    limits = [limit if np.isfinite(limit) else None for limit in (low, high)]
    return Interval(None, limits[0], limits[1], words)


def _fixed_sums(a: Side, b: Side, fixed: ArmCounts, level: str) -> _Sums:
    """b's counts by camera as a names them."""
    order = media_order(a.prepared, b.prepared)
    hits = fixed.event.detected if level == INCIDENTS else fixed.frame.tp
    sums = [
        per_camera(a.prepared, np.where(order >= 0, counts[order], 0))
        for counts in (hits, fixed.frame.fp)
    ]
    return _Sums(*sums)


def _swept(side: Side, level: str, threshold: float) -> tuple[_Sums, Floats]:
    """Counts by camera over a grid of detector thresholds, and the positives of each camera.

    The grid holds the scores at which anything changes, thinned evenly to a few hundred, and the
    threshold of the match itself.
    """
    swept = sweep(side.prepared, _classifier(side))
    scores = np.unique(np.concatenate([swept.incident, swept.frame_tp, swept.frame_fp]))
    scores = scores[(scores > NO_SCORE) & (scores >= _lowest(side))]
    if len(scores) > GRID:
        scores = scores[np.linspace(0, len(scores) - 1, GRID).round().astype(np.int64)]
    above = [1.0] if not len(scores) else [min(1.0, float(scores[-1]) * 1.001)]
    grid = np.unique(np.array([_lowest(side), *scores, min(threshold, 1.0), *above], np.float32))
    classifier = _classifier(side)
    counts = surfaces(
        side.prepared, grid.tolist(), [0.0 if classifier is None else classifier], by_camera=True
    )
    column = 0 if classifier is None else 1
    incidents = level == INCIDENTS
    name, total = ("detected", "n_incidents") if incidents else ("frame_tp", "n_positive")
    return (
        _Sums(
            counts.counts[name][:, :, column].astype(np.float64),
            counts.counts["frame_fp"][:, :, column].astype(np.float64),
        ),
        counts.totals[total],
    )
