"""Do the scores mean what they say, and what is a precision worth elsewhere?

Of the detections with a verdict (`calibration`): Brier score, log loss and expected calibration
error of the detector's score, of the classifier's, and of the model that weighs both. The model is
fitted on every second camera and judged on the others, and the other way round, so that none is
judged by what was fitted on it. Intervals between cameras.

Precision is of the footage at hand, where targets are far more frequent than on a street: by odds
re-weighting it is moved to prevalences of frames with a target that are assumed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from forensics.evaluation.calibration import (
    Sample,
    bins_of,
    brier,
    expected_calibration_error,
    fit,
    judged_detections,
    log_loss,
    precision_at_prevalence,
    reliability,
)
from forensics.evaluation.levels import ArmCounts
from forensics.evaluation.log import Floats
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import Interval, camera_bootstrap, proportion_interval
from forensics.evaluation.rules import Rules

ASSUMED = (1e-2, 1e-4, 1e-6)
NONE_JUDGED = "no classified detection lies on a frame with box labels"
NOT_FITTED = "fitting needs two cameras or more, with hits and false boxes on either half of them"
NOTE = (
    "of classified detections from the floor of the log up, each matched or false; objects without "
    "a detection do not appear, so that this never stands alone"
)


def trust(prepared: Prepared) -> dict[str, Any]:
    """How well the scores are calibrated, as plain values; undefined is None with a reason."""
    sample = judged_detections(prepared)
    found: dict[str, Any] = {"detector": None, "classifier": None, "both": None}
    both = None
    if len(sample.hit):
        both = _crosswise(sample)
        scores = {"detector": sample.score, "classifier": sample.target, "both": both}
        for name, probability in scores.items():
            if probability is not None:
                found[name] = _figures(probability, sample, prepared.rules)
    why = None if len(sample.hit) else NONE_JUDGED
    return {
        "undefined": why,
        "detections": len(sample.hit),
        "hits": int(sample.hit.sum()),
        "every": sample.step,
        "cameras": len(np.unique(sample.camera)),
        **found,
        "both_undefined": why or (NOT_FITTED if both is None else None),
        "note": NOTE,
    }


def precision_elsewhere(prepared: Prepared, arm: ArmCounts) -> list[dict[str, float | None]]:
    """Precision of frames at each assumed share of frames with a target."""
    hits, false = int(arm.frame.tp.sum()), int(arm.frame.fp.sum())
    positive, negative = (
        int(counts.sum()) for counts in (prepared.ledger.positive, prepared.ledger.negative)
    )
    observed = positive / (positive + negative) if positive + negative else 0.0
    return [
        {
            "prevalence": assumed,
            "precision": precision_at_prevalence(hits / (hits + false), observed, assumed)
            if hits + false
            else None,
        }
        for assumed in ASSUMED
    ]


def _crosswise(sample: Sample) -> Floats | None:
    """Each detection's probability by the model fitted on the other half of the cameras."""
    cameras = np.unique(sample.camera)
    halves = cameras[::2], cameras[1::2]
    parts = [sample.on(half) for half in halves]
    if not all(part.hit.any() and not part.hit.all() for part in parts):
        return None
    probability = np.empty(len(sample.hit))
    for half, other in zip(halves, reversed(parts), strict=True):
        here = np.isin(sample.camera, half)
        probability[here] = fit(other).probability(sample.score[here], sample.target[here])
    return probability


def _figures(probability: Floats, sample: Sample, rules: Rules) -> dict[str, Any]:
    return {
        "brier": _mean(brier(probability, sample.hit), sample, rules).to_json(),
        "log_loss": _mean(log_loss(probability, sample.hit), sample, rules).to_json(),
        "expected_calibration_error": expected_calibration_error(probability, sample.hit),
        "bins": _bins(probability, sample, rules),
    }


def _mean(loss: Floats, sample: Sample, rules: Rules) -> Interval:
    """Mean over detections, resampling cameras."""
    totals = np.bincount(sample.camera).astype(np.float64)
    sums = np.asarray(np.bincount(sample.camera, loss)[totals > 0], np.float64)
    totals = totals[totals > 0]
    if len(totals) < 2:
        return Interval(float(loss.mean()), None, None, "no interval: one camera")
    return camera_bootstrap(sums, totals, rules.confidence, rules.replicates, rules.seed)


def _bins(probability: Floats, sample: Sample, rules: Rules) -> list[dict[str, Any]]:
    """The bins of the reliability diagram, each share of hits with an interval."""
    table, place = reliability(probability, sample.hit), bins_of(probability)
    table = table.rename(columns={"low": "from", "high": "to"})
    cameras = int(sample.camera.max()) + 1
    rows: list[dict[str, Any]] = table.to_dict("records")
    for row, number in zip(rows, np.unique(place), strict=True):
        here = place == number
        totals = np.bincount(sample.camera[here], minlength=cameras).astype(np.float64)
        hits = np.bincount(sample.camera[here & sample.hit], minlength=cameras).astype(np.float64)
        row["share_interval"] = proportion_interval(
            hits, totals, rules.confidence, rules.replicates, rules.seed
        ).to_json()
    return rows
