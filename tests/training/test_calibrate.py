"""The temperature: recovers a known scale, keeps decisions, finds its way into classifier.json."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import TrainingError
from forensics.training.calibrate import calibration, fit_temperature
from forensics.training.classifier_model import FitMeta
from forensics.training.scores import negative_log_likelihood, target_probability

HALF = (0.5, 0.5, 0.5)
META = FitMeta(
    "test_efficientnet", ("gun", "cup", "other"), ("gun",), 64, 1.4, 24, "rgb", HALF, HALF
)


def drawn(n: int, seed: int) -> tuple[Any, Any]:
    """Logits whose softmax is the truth: labels are drawn from it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, 3))
    noise = rng.gumbel(size=(n, 3))
    return logits, (logits + noise).argmax(axis=1)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 6), st.integers(0, 100))
def test_a_known_scale_is_recovered(scale: float, seed: int) -> None:
    logits, labels = drawn(6000, seed)
    assert fit_temperature(logits * scale, labels) == pytest.approx(scale, rel=0.1)


def test_likelihood_and_calibration_get_better_on_other_cameras() -> None:
    logits, labels = drawn(3000, 1)
    groups = [f"camera{k % 6}" for k in range(len(labels))]
    found, picture = calibration(logits * 4, labels, groups, META)
    assert found["temperature"] == pytest.approx(4, rel=0.1)
    assert found["cross_fitted"]
    assert found["targets"] == (labels == 0).sum()
    for key in ("nll", "ece", "target_ece"):
        assert found["after"][key] < found["before"][key]
    assert found["before"]["target_ece"] > 0.08
    assert found["after"]["target_ece"] < 0.04
    assert picture.after["count"].sum() == len(labels)


def test_separable_crops_give_no_extreme_temperature() -> None:
    labels = np.arange(30) % 3
    temperature = fit_temperature(np.eye(3)[labels] * 3, labels)
    assert 0.1 < temperature < 1


def test_one_camera_cannot_be_crossed() -> None:
    logits, labels = drawn(200, 2)
    found, _ = calibration(logits, labels, ["yard"] * 200, META)
    assert not found["cross_fitted"]


def test_nothing_to_calibrate_on_is_said() -> None:
    with pytest.raises(TrainingError, match="no crop to calibrate on"):
        fit_temperature(np.empty((0, 3)), np.empty(0, np.int64))


def test_target_probability_is_the_score_of_the_cascade() -> None:
    from forensics.cascade.classifier import Classifier
    from tests.cascade.test_stages import as_engine

    logits, _ = drawn(50, 3)
    spec = FitMeta(**{**_values(META), "temperature": 2.5}).crop_spec()
    classifier = Classifier(as_engine(logits), spec)
    scores = classifier.target_score(classifier.probabilities(np.zeros((50, 64, 64, 3), np.uint8)))
    np.testing.assert_allclose(target_probability(logits, META, 2.5), scores, atol=1e-6)


def test_likelihood_is_the_plain_sum() -> None:
    logits, labels = drawn(20, 4)
    powers = np.exp(logits / 3)
    plain = [-np.log(p[k] / p.sum()) for p, k in zip(powers, labels, strict=True)]
    assert negative_log_likelihood(logits, labels, 3.0) == pytest.approx(np.mean(plain))


def _values(meta: FitMeta) -> dict[str, Any]:
    return {name: getattr(meta, name) for name in FitMeta.__slots__}
