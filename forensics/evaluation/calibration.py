"""Do scores mean what they say? P(target | detector score, classifier score), and its checks.

The unit is a detection on a frame with box labels, after matching at the lowest detector
threshold: 1 if it takes a truth box, 0 if it is false; ignored ones are left out. The model is
logistic on the logits of both scores, to be fitted on cameras other than those it is judged on.
Missed objects do not appear here, so that these figures never stand alone. Sources: Platt 1999;
Brier 1950; Naeini et al. 2015 (expected calibration error), with bins of equal mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit

from forensics.errors import ForensicsError
from forensics.evaluation.log import Bools, Floats, Ints
from forensics.evaluation.match import FALSE, TRUE, match, survivors
from forensics.evaluation.prepare import Prepared

EDGE = 1e-6
RIDGE = 1e-3
BINS = 10
MOST_DETECTIONS = 250_000  # beyond, every second, third, ... says as much


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Detections with a verdict: `score`, `target` float64 (n,), `hit` bool, `camera` int64.

    They are every `step`-th that has one.
    """

    score: Floats
    target: Floats
    hit: Bools
    camera: Ints
    step: int = 1

    def on(self, cameras: Any) -> Sample:
        """The detections of the given camera numbers."""
        keep = np.isin(self.camera, cameras)
        return Sample(
            self.score[keep], self.target[keep], self.hit[keep], self.camera[keep], self.step
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """expit(bias + detector logit(s) + classifier logit(c)); plain numbers, to keep in a file."""

    bias: float
    detector: float
    classifier: float

    def probability(self, score: Any, target: Any) -> Floats:
        """P(target) of detections: float64, as the inputs' shape."""
        return np.asarray(expit(_features(score, target) @ self._weights()), np.float64)

    def _weights(self) -> Floats:
        return np.array([self.bias, self.detector, self.classifier], np.float64)


def judged_detections(prepared: Prepared) -> Sample:
    """Classified detections with a verdict; of very many every second, third, ..."""
    log, labels = prepared.log, prepared.labels
    alive = survivors(log, labels, None, None)
    outcome, _ = match(prepared.pairs, alive)
    verdict = (outcome == TRUE) | (outcome == FALSE)
    keep = np.flatnonzero(verdict & labels.has_boxes[log.det_frame] & ~np.isnan(log.target))
    step = max(1, -(-len(keep) // MOST_DETECTIONS))
    keep = keep[::step]
    return Sample(
        score=log.score[keep].astype(np.float64),
        target=log.target[keep].astype(np.float64),
        hit=outcome[keep] == TRUE,
        camera=log.camera[log.frame_media[log.det_frame[keep]]],
        step=step,
    )


def fit(sample: Sample) -> Calibration:
    """Fit by maximum likelihood, with a slight ridge that keeps separable data finite."""
    if not sample.hit.any() or sample.hit.all():
        raise ForensicsError("calibration needs detections that hit and that do not; label more")
    features, wanted = _features(sample.score, sample.target), sample.hit.astype(np.float64)

    def loss(weights: Floats) -> tuple[float, Floats]:
        linear = features @ weights
        value = np.logaddexp(0, linear).mean() - (wanted * linear).mean()
        gradient = features.T @ (expit(linear) - wanted) / len(wanted)
        return value + RIDGE * float(weights @ weights) / 2, gradient + RIDGE * weights

    found = minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B")
    return Calibration(*(float(weight) for weight in found.x))


def _features(score: Any, target: Any) -> Floats:
    logits = [
        logit(np.clip(np.asarray(part, np.float64), EDGE, 1 - EDGE)) for part in (score, target)
    ]
    return np.stack([np.ones_like(logits[0]), *logits], axis=-1)


def brier(probability: Floats, hit: Bools) -> Floats:
    """Squared difference of probability and outcome of each detection; their mean is the score."""
    return np.asarray((probability - hit) ** 2, np.float64)


def log_loss(probability: Floats, hit: Bools) -> Floats:
    """Negative log likelihood of each detection's outcome, in nats."""
    clipped = np.clip(probability, EDGE, 1 - EDGE)
    return np.asarray(-np.where(hit, np.log(clipped), np.log1p(-clipped)), np.float64)


def bins_of(probability: Floats, bins: int = BINS) -> Ints:
    """The bin of each detection, of about equal mass: int64 (n,); ties stay together."""
    if not len(probability):
        return np.zeros(0, np.int64)
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1), method="lower"))
    place = np.searchsorted(edges, probability, "right") - 1
    return np.asarray(np.clip(place, 0, max(len(edges) - 2, 0)), np.int64)


def reliability(probability: Floats, hit: Bools, bins: int = BINS) -> pd.DataFrame:
    """Least, greatest and mean probability, share of hits and count of each bin."""
    place = bins_of(probability, bins)
    table = pd.DataFrame({"bin": place, "probability": probability, "hit": hit})
    grouped = table.groupby("bin")
    return pd.DataFrame(
        {
            "low": grouped["probability"].min(),
            "high": grouped["probability"].max(),
            "probability": grouped["probability"].mean(),
            "share": grouped["hit"].mean(),
            "count": grouped.size(),
        }
    ).reset_index(drop=True)


def expected_calibration_error(probability: Floats, hit: Bools, bins: int = BINS) -> float | None:
    """Mean absolute difference of probability and share of hits over bins of equal mass."""
    table = reliability(probability, hit, bins)
    if not len(table):
        return None
    gap = (table["probability"] - table["share"]).abs()
    return float((gap * table["count"]).sum() / table["count"].sum())


def precision_at_prevalence(precision: float, observed: float, assumed: float) -> float | None:
    """Precision after moving the prevalence of targets from `observed` to `assumed`.

    Odds re-weighting (Elkan 2001): precision measured on a test set is not that of deployment.
    None where a prevalence is 0 or 1.
    """
    if not 0 < observed < 1 or not 0 < assumed < 1:
        return None
    if precision in (0.0, 1.0):
        return precision
    odds = precision / (1 - precision) * (assumed / (1 - assumed)) / (observed / (1 - observed))
    return odds / (1 + odds)
