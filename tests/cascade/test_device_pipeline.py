"""The pipeline on PyTorch tensors, here of the CPU, against the one on views."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

import torch

from forensics.backends import Provenance
from forensics.cascade import device_pipeline
from forensics.cascade.definition import load_cascade
from forensics.cascade.detector import Detector
from forensics.cascade.device_engines import engine_on
from forensics.cascade.device_pipeline import DevicePipeline
from forensics.cascade.lanes import GPU, TENSORS, Lanes
from forensics.cascade.on_device import device_errors, try_on
from forensics.cascade.pipeline import DEPTH, FrameResult, Runs
from forensics.cascade.place import Place, place_for
from forensics.errors import BackendError
from forensics.scan.settings import open_cascade
from forensics.types import Frame, Packed
from tests.support.clips import numbered_luma
from tests.support.pipelines import batches_taken
from tests.support.scans import IMGSZ, small_settings

CASCADE = load_cascade("handgun")
TOLERANCE = 0.02  # of scores: crops are resized within 2 of 255 levels of OpenCV's


def frame(number: int) -> Frame:
    """A frame as the decoding child hands it over, with a view as well."""
    rgb = np.repeat(numbered_luma(number, IMGSZ, IMGSZ)[..., None], 3, axis=2)
    packed = Packed("rgb24", 0, 0, rgb.reshape(-1).copy())
    times = (number, number, 0.1 * number)
    return Frame(*times, True, False, IMGSZ, IMGSZ, rgb[None], rgb.copy, packed=packed)


def results(pipeline: Runs, batches: Sequence[int]) -> list[FrameResult]:
    numbers = iter(range(sum(batches)))
    items = [(size, [frame(next(numbers)) for _ in range(size)]) for size in batches]
    out: list[FrameResult] = []
    for (token, found), (size, _) in zip(pipeline.run(items), items, strict=True):
        assert token == size == len(found)
        out += found
    return out


def on_tensors(**changes: Any) -> Runs:
    return open_cascade(small_settings(place=Place(TENSORS), **changes)).pipeline


@pytest.fixture(scope="module")
def gate() -> float:
    """A gate that half of the detections pass."""
    found = results(on_tensors(detector_only=True), [12])
    return float(np.median(np.concatenate([result.detections.score for result in found])))


@pytest.fixture(scope="module")
def pipeline(gate: float) -> Runs:
    return on_tensors(gate=gate)


def test_results_are_those_of_the_other_way(pipeline: Runs, gate: float) -> None:
    """Nothing is scaled here, so that both look at the same pixels."""
    assert isinstance(pipeline, DevicePipeline)
    expected = results(open_cascade(small_settings(gate=gate)).pipeline, [5, 7])
    found = results(pipeline, [5, 7])
    assert any(result.classified.any() for result in found)
    assert any((~result.classified).any() for result in found)
    for one, other in zip(found, expected, strict=True):
        assert (one.index, one.pts, one.time_s) == (other.index, other.pts, other.time_s)
        np.testing.assert_array_equal(one.detections.score, other.detections.score)
        np.testing.assert_allclose(one.detections.xyxy, other.detections.xyxy, atol=1e-3)
        np.testing.assert_array_equal(one.detections.class_id, other.detections.class_id)
        np.testing.assert_array_equal(one.classified, other.classified)
        assert not one.failed.any()
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=TOLERANCE)
        np.testing.assert_allclose(one.target_score, other.target_score, atol=TOLERANCE)


@pytest.mark.parametrize("batches", [[1] * 12, [5, 0, 7], [0, 3, 0, 0, 9, 0]])
def test_results_do_not_depend_on_the_batches(pipeline: Runs, batches: list[int]) -> None:
    for one, other in zip(results(pipeline, batches), results(pipeline, [12]), strict=True):
        assert one.index == other.index
        for name in ("classified", "target_score", "probabilities"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        np.testing.assert_array_equal(one.detections.xyxy, other.detections.xyxy)
        np.testing.assert_array_equal(one.detections.score, other.detections.score)


def test_nothing_in_nothing_out(pipeline: Runs) -> None:
    assert list(pipeline.run([])) == []


def test_a_detector_alone() -> None:
    alone = results(on_tensors(detector_only=True), [3])
    assert sum(len(result.detections) for result in alone) > 0
    assert not any(result.classified.any() for result in alone)
    assert {result.probabilities.shape[1] for result in alone} == {0}


def test_frames_are_released_as_soon_as_their_results_are_out(pipeline: Runs) -> None:
    """`DEPTH` batches and one more are under way: the ring of pictures is sized for that."""
    taken = batches_taken(pipeline, frame)
    assert [token for token, _ in taken] == list(range(5))
    assert all(number <= token + DEPTH + 1 for token, number in taken)


def test_a_crop_that_fails_is_an_error_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = on_tensors(gate=0.0001)  # the floor: all are asked for
    calls: list[int] = []

    def failing(*given: Any) -> Any:
        calls.append(len(calls))
        if calls[-1] == 1:
            raise MemoryError
        return crops(*given)

    crops = device_pipeline.crops
    plain = results(pipeline, [3])
    monkeypatch.setattr(device_pipeline, "crops", failing)
    good, bad, also_good = results(pipeline, [3])
    assert len(calls) == 3
    np.testing.assert_array_equal(bad.failed, plain[1].classified)
    assert bad.failed.any() and not bad.classified.any()
    assert np.isnan(bad.target_score).all()
    for one, other in ((good, plain[0]), (also_good, plain[2])):
        np.testing.assert_array_equal(one.target_score, other.target_score)
        assert not one.failed.any()


class Answer:
    """An engine that gives a prepared answer."""

    provenance = Provenance("none", "0", "none", "fp32", "fp32", 1, "none", "0")

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def infer(self, images: Any) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return np.asarray(self._answer, np.float32)


def alone(answer: Any) -> Runs:
    detector = Detector(Answer(answer), CASCADE.detector, 0.05)
    return DevicePipeline(detector, None, device=TENSORS, imgsz=IMGSZ, gate=0.05)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_gives_no_numbers_does_not_pass_for_finding_nothing(value: float) -> None:
    raw = np.zeros((1, 5, 10), np.float32)
    raw[0, 4, 3] = value
    with pytest.raises(BackendError, match="not numbers"):
        results(alone(raw), [1])


def test_an_engine_that_fails_ends_the_scan() -> None:
    with pytest.raises(BackendError, match="^the GPU fell off$"):
        results(alone(BackendError("the GPU fell off")), [1])


def test_what_pytorch_raises_says_what_to_do() -> None:
    with pytest.raises(BackendError, match="out of memory; .*smaller --batch or --imgsz"):
        results(alone(torch.OutOfMemoryError("CUDA out of memory. Tried to")), [1])
    with pytest.raises(BackendError, match="PyTorch failed on the device: an illegal address; run"):
        results(alone(torch.AcceleratorError("an illegal\naddress")), [1])
    with pytest.raises(BackendError), device_errors():
        torch.zeros(2) @ torch.zeros(3)


def test_pictures_are_copied_before_their_memory_is_used_again() -> None:
    lanes = Lanes(TENSORS)
    rounds = []
    for number in range(5):
        pictures = [np.full(size, number, np.uint8) for size in (3, 1000 * number + 1, 2)]
        rounds.append(lanes.bring(pictures))
    for number, brought in enumerate(rounds):
        assert [len(one) for one in brought] == [3, 1000 * number + 1, 2]
        assert all((one == number).all() for one in brought)


def test_names_that_only_a_gpu_calls() -> None:
    """Those of `Lanes` that the CPU does not run, in the PyTorch that is here."""
    streams = torch.cuda
    assert callable(streams.stream) and callable(streams.current_stream)
    assert {"wait_event", "record_event", "synchronize"} <= set(dir(streams.Stream))
    assert {"record", "synchronize", "wait"} <= set(dir(streams.Event))
    assert "record_stream" in dir(torch.Tensor)
    assert issubclass(torch.OutOfMemoryError, RuntimeError)
    assert issubclass(torch.AcceleratorError, RuntimeError)
    # The raw handle is of the class that CUDA builds bring.
    base = getattr(torch._C, "_CudaStreamBase", None)
    assert not torch.backends.cuda.is_built() or "cuda_stream" in dir(base)


def test_a_device_is_tried() -> None:
    try_on(TENSORS)
    with pytest.raises(RuntimeError, match="device"):
        try_on("no such device")


@pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch has a GPU here")
def test_without_a_gpu_frames_stay_where_they_are() -> None:
    place = place_for("tensorrt")
    assert not place.on_device
    assert str(place).startswith("cpu, because PyTorch ")
    assert "without CUDA, or for another driver" in str(place)
    assert str(place_for("openvino")) == "cpu, because the networks run there"


def test_only_tensorrt_takes_pictures_on_the_gpu() -> None:
    lanes: Any = SimpleNamespace(device=GPU)
    with pytest.raises(BackendError, match="none does not take pictures on the GPU"):
        engine_on(lanes, Answer(0))
