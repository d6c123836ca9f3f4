"""Crops, boxes and decisions against plain references."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from forensics.backends import Engine, Provenance
from forensics.cascade.classifier import Classifier
from forensics.cascade.crops import cut_crops, cut_square
from forensics.cascade.decide import decide
from forensics.cascade.definition import load_cascade
from forensics.cascade.detector import Detector
from forensics.errors import CascadeError
from forensics.scan.settings import default_settings, open_cascade
from forensics.tiling import WHOLE
from forensics.types import OperatingPoint
from tests.support.data import DATA, needs_footage

CASCADE = load_cascade("handgun")
assert CASCADE.classifier is not None
SPEC = CASCADE.classifier


class Answer:
    """An engine that gives a prepared answer: for shapes that no network would give."""

    provenance = Provenance("none", "0", "none", "fp32", "fp32", 1, "none", "0")

    def __init__(self, answer: Any) -> None:
        self._answer = np.asarray(answer, np.float32)

    def infer(self, images: Any) -> Any:
        return self._answer


def as_engine(answer: Any) -> Engine:
    return Answer(answer)


@given(st.integers(-60, 90), st.integers(-60, 90), st.integers(1, 120))
def test_square_equals_a_padded_picture(x: int, y: int, side: int) -> None:
    """Cutting with repeated borders = repeating the border widely, then cutting."""
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    x, y = min(max(x, 1 - side), 49), min(max(y, 1 - side), 39)  # overlaps the picture
    wide = cv2.copyMakeBorder(rgb, 200, 200, 200, 200, cv2.BORDER_REPLICATE)
    expected = wide[200 + y : 200 + y + side, 200 + x : 200 + x + side]
    np.testing.assert_array_equal(cut_square(rgb, [x, y, x + side, y + side]), expected)


@given(
    arrays(np.float32, (3, 4), elements=st.floats(0, 100, width=32)),
)
def test_crops_of_any_box(raw: Any) -> None:
    xyxy = np.sort(raw.reshape(3, 2, 2), axis=1).reshape(3, 4)
    rgb = np.full((100, 100, 3), (10, 200, 30), np.uint8)
    crops = cut_crops(rgb, xyxy, SPEC)
    assert crops.shape == (3, SPEC.imgsz, SPEC.imgsz, 3)
    grey = cv2.cvtColor(rgb[:1, :1], cv2.COLOR_RGB2GRAY)[0, 0]
    assert (crops == grey).all()


def test_no_box_no_crop() -> None:
    rgb = np.zeros((10, 10, 3), np.uint8)
    assert cut_crops(rgb, np.empty((0, 4), np.float32), SPEC).shape[0] == 0


@given(
    arrays(np.float32, 8, elements=st.floats(0, 1, width=32)),
    arrays(np.float32, 8, elements=st.floats(0, 1, width=32) | st.just(float("nan"))),
    st.floats(0, 1),
    st.floats(0, 1) | st.none(),
)
def test_decide_is_the_plain_rule(s: Any, c: Any, t_d: float, t_c: float | None) -> None:
    found = decide(s, c, OperatingPoint(t_d, t_c))
    for alarm, score, target in zip(found, s, c, strict=True):
        expected = score >= np.float32(t_d)
        if t_c is not None:
            expected = expected and not np.isnan(target) and target >= np.float32(t_c)
        assert alarm == expected


def test_decide_compares_as_stored() -> None:
    """A logged 0.7 is float32(0.7), below the double 0.7; it must pass the threshold 0.7."""
    score = np.array([0.7], np.float32)
    assert float(score[0]) < 0.7
    assert decide(score, score, OperatingPoint(0.7, 0.7)).all()


def test_detector_decodes_like_the_plain_reference() -> None:
    random = np.random.default_rng(5)
    centres, sizes = random.uniform(100, 500, (2, 300)), random.uniform(5, 80, (2, 300))
    raw = np.concatenate([centres, sizes, random.random((1, 300))]).astype(np.float32)
    views = WHOLE.views(1920, 1080, 640)
    found = Detector(as_engine(raw[None]), CASCADE.detector, 0.4).boxes(raw[None], [views])[0]
    assert len(found) > 5
    assert (np.diff(found.score) <= 0).all()
    assert (found.score >= np.float32(0.4)).all()
    order = np.argsort(-raw[4], kind="stable")
    best = raw[:, order[0]]
    corners = np.array([best[0] - best[2] / 2, best[1] - best[3] / 2])
    np.testing.assert_allclose(found.xyxy[0, :2], (corners - [0, 140]) * 3, atol=0.01)
    assert found.score[0] == best[4]


def test_detector_keeps_the_best_when_there_are_too_many() -> None:
    n = 5000
    centre = np.arange(n) * 100.0
    score = np.linspace(0.1, 0.9, n)
    raw = np.stack([centre, centre, np.full(n, 5), np.full(n, 5), score]).astype(np.float32)
    detector = Detector(as_engine(raw[None]), CASCADE.detector, 0.05)
    found = detector.boxes(raw[None], [WHOLE.views(640, 640, 640)])[0]
    assert len(found) == CASCADE.detector.max_detections
    assert found.score[0] == np.float32(0.9)


def test_outputs_that_do_not_fit_are_refused() -> None:
    views = np.zeros((1, 640, 640, 3), np.uint8)
    with pytest.raises(CascadeError, match="class count"):
        Detector(as_engine(np.zeros((1, 9, 10))), CASCADE.detector, 0.05).infer(views)
    with pytest.raises(CascadeError, match="class count"):
        Classifier(as_engine(np.zeros((1, 3))), SPEC).probabilities(views)


def test_probabilities_sum_to_one() -> None:
    logits = np.array([[1000.0, 0, -1000, 3, 4], [0, 0, 0, 0, 0]])
    classifier = Classifier(as_engine(logits), SPEC)
    found = classifier.probabilities(np.zeros((2, 224, 224, 3), np.uint8))
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(classifier.target_score(found), [1, 0.2], atol=1e-6)


@given(
    arrays(np.float32, (3, 5), elements=st.floats(-50, 50, width=32)),
    st.floats(0.05, 20),
)
def test_a_temperature_divides_the_logits(logits: Any, temperature: float) -> None:
    spec = replace(SPEC, temperature=temperature)
    views = np.zeros((3, 224, 224, 3), np.uint8)
    found = Classifier(as_engine(logits), spec).probabilities(views)
    expected = softmax(logits.astype(np.float64) / temperature, axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


@needs_footage
def test_bundled_pair_on_real_pictures() -> None:
    """Both networks say on photographs of revolvers what their card lets expect."""
    settings = default_settings()
    detector, classifier = open_cascade(settings).engines
    assert {detector.provenance.precision, classifier.provenance.precision} == {settings.precision}
    paths = sorted((DATA / "caltech101" / "revolver").glob("*.jpg"))[:20]
    assert paths
    kept = 0
    for path in paths:
        rgb = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        height, width = rgb.shape[:2]
        whole = np.array([[0, 0, width, height]], np.float32)
        crops = cut_crops(np.ascontiguousarray(rgb), whole, SPEC)
        kept += Classifier(classifier, SPEC).probabilities(crops)[0].argmax() == 0
    assert kept >= 15
