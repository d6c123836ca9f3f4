"""Make a classifier's probabilities mean what they say: one temperature, fitted on held-out crops.

Logits are divided by T > 0 before the softmax; T minimises the negative log likelihood (Guo,
Pleiss, Sun and Weinberger 2017). The most probable class stays the same. What is reported as
"after" is cross-fitted where there are two cameras or more: T of one half of the cameras, judged
on the other half, so that the figure is not flattered by the fit; the T that is kept is of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from forensics.errors import TrainingError
from forensics.evaluation.calibration import expected_calibration_error, reliability
from forensics.training.batches import Ints
from forensics.training.classifier_model import FitMeta, load_fit, with_temperature
from forensics.training.examples import Examples
from forensics.training.figures import Reliability, draw_reliability
from forensics.training.scores import (
    Floats,
    logits_of,
    negative_log_likelihood,
    target_probability,
)

RANGE = (0.05, 20.0)
BINS = 10
RELIABILITY = "reliability.png"


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """T of logits (n, classes) and class numbers (n,). Raises TrainingError without crops.

    Log T has a standard normal prior, as heavy as one crop: it matters only where all crops are
    told apart, and T would go to 0.
    """
    if not len(labels):
        raise TrainingError("there is no crop to calibrate on; mine footage of more cameras")

    def loss(x: float) -> float:
        fit = negative_log_likelihood(logits, labels, float(np.exp(x)))
        return fit + x * x / 2 / len(labels)

    found = minimize_scalar(
        loss,
        bounds=tuple(np.log(RANGE)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def calibration(
    logits: Floats, labels: Ints, groups: Sequence[str], meta: FitMeta
) -> tuple[dict[str, Any], Reliability]:
    """Temperature and figures before and after it, and what to draw of the targets."""
    temperature = fit_temperature(logits, labels)
    after = _cross_fitted(logits, labels, groups)
    crossed = after is not None
    scaled = logits / temperature if after is None else after
    hit = np.isin(labels, meta.target_indices)
    drawn = Reliability(
        before=reliability(target_probability(logits, meta), hit, BINS),
        after=reliability(target_probability(scaled, meta), hit, BINS),
        name=" + ".join(meta.targets),
    )
    at_end = np.isclose(np.log(temperature), np.log(RANGE), atol=1e-3).any()
    return {
        "temperature": temperature,
        "crops": len(labels),
        "targets": int(hit.sum()),
        "cross_fitted": crossed,
        "at_the_end_of_the_range": bool(at_end),
        "before": _figures(logits, labels, hit, meta),
        "after": _figures(scaled, labels, hit, meta),
    }, drawn


def calibrate_fit(folder: Path, examples: Examples, workers: int = 1) -> dict[str, Any]:
    """Fit T on the validation crops, and keep it in FIT/classifier.json with its figures."""
    model, meta = load_fit(folder)
    check_fits(meta, examples)
    logits = logits_of(model, meta, examples.val, workers=workers)
    labels = examples.labels(examples.val)
    found, drawn = calibration(logits, labels, [e.group for e in examples.val], meta)
    draw_reliability(drawn, folder / RELIABILITY)
    with_temperature(folder, found["temperature"], {"calibration": found})
    return found


def check_fits(meta: FitMeta, examples: Examples) -> None:
    """Refuse crops that were cut by another rule, or gathered for other classes."""
    rule, own = examples.rule, meta.crop_rule
    if rule != own:
        raise TrainingError(
            f"the crops are of {rule.words()}, but the network was trained on others "
            f"({own.words()}); mine again"
        )
    if examples.classes != meta.classes:
        raise TrainingError(
            f"the network's classes are {', '.join(meta.classes)}, the crops' "
            f"{', '.join(examples.classes)}; give --class-map"
        )


def _cross_fitted(logits: Floats, labels: Ints, groups: Sequence[str]) -> Floats | None:
    """Logits divided by the other half's T; None with one camera."""
    names = sorted(set(groups))
    if len(names) < 2:
        return None
    half = np.array([names.index(group) % 2 for group in groups])
    scaled = logits.copy()
    for side in (0, 1):
        other = half != side
        scaled[half == side] /= fit_temperature(logits[other], labels[other])
    return scaled


def _figures(logits: Floats, labels: Ints, hit: Any, meta: FitMeta) -> dict[str, Any]:
    probabilities = softmax(logits, axis=1)
    right = probabilities.argmax(axis=1) == labels
    target = target_probability(logits, meta)
    return {
        "nll": negative_log_likelihood(logits, labels),
        "ece": expected_calibration_error(probabilities.max(axis=1), right, BINS),
        "target_ece": expected_calibration_error(target, hit, BINS),
    }
