"""Both stages together: order, batches, the gate, and what happens when something fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from forensics.backends import Provenance
from forensics.cascade.classifier import Classifier
from forensics.cascade.definition import load_cascade
from forensics.cascade.detector import Detector
from forensics.cascade.pipeline import DEPTH, FrameResult, Pipeline
from forensics.errors import BackendError
from forensics.scan.recorder import Recorder
from forensics.scan.settings import open_cascade
from forensics.types import Frame
from tests.support.clips import numbered_luma
from tests.support.pipelines import batches_taken
from tests.support.scans import IMGSZ, small_settings

CASCADE = load_cascade("handgun")
assert CASCADE.classifier is not None


def picture(number: int) -> Any:
    return np.repeat(numbered_luma(number, IMGSZ, IMGSZ)[..., None], 3, axis=2)


def frame(number: int, rgb: Any = None) -> Frame:
    view = picture(number)
    times = (number, number, 0.1 * number)
    return Frame(*times, True, False, IMGSZ, IMGSZ, view[None], rgb or view.copy)


def same(a: FrameResult, b: FrameResult) -> bool:
    def values(result: FrameResult) -> list[bytes]:
        found = result.detections
        arrays = (found.xyxy, found.score, found.class_id, result.classified, result.target_score)
        return [array.tobytes() for array in (*arrays, result.probabilities)]

    return a.index == b.index and values(a) == values(b)


@pytest.fixture(scope="module")
def gate() -> float:
    """A gate that half of the detections pass."""
    alone = open_cascade(small_settings(detector_only=True)).pipeline
    scores = [result.detections.score for result in results(alone, [12])]
    return float(np.median(np.concatenate(scores)))


@pytest.fixture(scope="module")
def pipeline(gate: float) -> Pipeline:
    return open_cascade(small_settings(gate=gate)).pipeline


def results(pipeline: Pipeline, batches: Sequence[int]) -> list[FrameResult]:
    numbers = iter(range(sum(batches)))
    items = [(size, [frame(next(numbers)) for _ in range(size)]) for size in batches]
    out: list[FrameResult] = []
    for (token, found), (size, _) in zip(pipeline.run(items), items, strict=True):
        assert token == size
        assert len(found) == size
        out += found
    return out


@pytest.mark.parametrize("batches", [[12], [1] * 12, [5, 0, 7], [0, 3, 0, 0, 9, 0]])
def test_results_do_not_depend_on_the_batches(pipeline: Pipeline, batches: list[int]) -> None:
    plain = results(pipeline, [4, 4, 4])
    found = results(pipeline, batches)
    assert [result.index for result in found] == list(range(12))
    assert all(same(a, b) for a, b in zip(found, plain, strict=True))
    assert any(result.classified.any() for result in found)
    assert any((~result.classified).any() for result in found)


def test_nothing_in_nothing_out(pipeline: Pipeline) -> None:
    assert list(pipeline.run([])) == []


def test_frames_are_released_as_soon_as_their_results_are_out(pipeline: Pipeline) -> None:
    """`DEPTH` batches and one more are under way: the ring of pictures is sized for that."""
    taken = batches_taken(pipeline, frame)
    assert [token for token, _ in taken] == list(range(5))
    assert all(number <= token + DEPTH + 1 for token, number in taken)


def test_a_crop_that_fails_is_an_error_on_record(tmp_path: Any) -> None:
    def broken() -> Any:
        raise ValueError("planes do not fit")

    pipeline = open_cascade(small_settings(gate=0.0001)).pipeline
    ((_, found),) = pipeline.run([("t", [frame(0), frame(1, broken), frame(2)])])
    good, bad = found[0], found[1]
    assert not bad.classified.any()
    assert bad.failed.any()
    assert np.isnan(bad.target_score).all()
    assert not good.failed.any()
    recorder = Recorder(
        tmp_path,
        None,  # type: ignore[arg-type]
        detector_classes=CASCADE.detector.classes,
        classifier_classes=CASCADE.classifier.classes,  # type: ignore[union-attr]
    )
    recorder.add(found, ("m",), stills=False)
    assert [row["status"] for row in recorder._frames().to_pylist()] == ["ok", "error", "ok"]
    rows = [row for row in recorder._detections().to_pylist() if row["frame_index"] == 1]
    assert {row["decided_by"] for row in rows} == {"error"}
    assert {row["target_score"] for row in rows} == {None}


class Answer:
    """An engine that gives a prepared answer."""

    provenance = Provenance("none", "0", "none", "fp32", "fp32", 1, "none", "0")

    def __init__(self, answer: Any) -> None:
        self._answer = np.asarray(answer, np.float32)

    def infer(self, images: Any) -> Any:
        return self._answer


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_gives_no_numbers_does_not_pass_for_finding_nothing(value: float) -> None:
    raw = np.zeros((1, 5, 10), np.float32)
    raw[0, 4, 3] = value
    views = np.zeros((1, 64, 64, 3), np.uint8)
    with pytest.raises(BackendError, match="not numbers"):
        Detector(Answer(raw), CASCADE.detector, 0.05).infer(views)
    logits = np.full((1, 5), value)
    with pytest.raises(BackendError, match="not numbers"):
        Classifier(Answer(logits), CASCADE.classifier).probabilities(views)  # type: ignore[arg-type]


def test_an_engine_that_fails_ends_the_scan(pipeline: Pipeline) -> None:
    class Broken(Answer):
        def infer(self, images: Any) -> Any:
            raise BackendError("out of memory")

    detector = Detector(Broken(0), CASCADE.detector, 0.05)
    with pytest.raises(BackendError, match="out of memory"):
        list(Pipeline(detector, None, imgsz=64, gate=0.05).run([("t", [frame(0)])]))
