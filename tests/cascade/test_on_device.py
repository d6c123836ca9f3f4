"""The work around the networks on tensors against the CPU path, here on CPU tensors."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

import av
import torch

from forensics.backends import open_engine
from forensics.boxes import Letterbox
from forensics.cascade import on_device
from forensics.cascade.classifier import Classifier
from forensics.cascade.crops import cut_crops
from forensics.cascade.definition import load_cascade
from forensics.cascade.detector import Detector
from forensics.footage.pixels import Packer, unpack_rgb
from forensics.tiling import WHOLE

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
CASCADE = load_cascade("handgun")
assert CASCADE.classifier is not None
FLOOR = 0.05
SCORE_TOLERANCE = 0.02


@pytest.fixture(scope="module")
def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module", params=["gate-pistol.mp4", "lawn-pistol.mp4"])
def decoded(request: pytest.FixtureRequest, device: str) -> Any:
    """A frame with a planted gun: its planes, and RGB and letterbox as the CPU path makes them."""
    with av.open(str(SAMPLE / request.param)) as container:
        *_, frame = itertools.islice(container.decode(video=0), 60)
    packer = Packer(CASCADE.detector.imgsz)
    layout = packer.layout(frame)
    slot = memoryview(bytearray(packer.views_bytes + layout.size_bytes))
    packer.pack(frame, layout, slot)
    view = np.frombuffer(slot, np.uint8, packer.views_bytes).reshape(640, 640, 3)
    full = np.frombuffer(slot, np.uint8, layout.size_bytes, offset=packer.views_bytes)
    height, width = frame.height, frame.width
    half = (height // 2, width // 2)
    shapes = {"luma": (height, width), "blue": half, "red": half}
    parts = np.split(full.copy(), np.cumsum([height * width, height * width // 4]))
    tensors = {
        name: torch.from_numpy(part).to(device).reshape(shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }
    planes = on_device.Planes(**tensors, matrix=layout.matrix, range=layout.range)
    return planes, unpack_rgb(layout, full), view


@pytest.fixture(scope="module")
def detector() -> Detector:
    spec = CASCADE.detector
    model = spec.files["fp32"].load("fp32", spec.imgsz)
    return Detector(open_engine("onnxruntime", model, spec.normalisation), spec, FLOOR)


def test_letterbox_is_the_decoders(decoded: Any) -> None:
    picture, _, expected = decoded
    height, width = picture.size
    found = on_device.letterbox(picture, Letterbox(width, height, 640))
    apart = np.abs(found.cpu().numpy().astype(int) - expected)
    assert np.mean(apart) < 2.5 and np.quantile(apart, 0.99) <= 8


def test_full_rgb_is_the_decoders(decoded: Any) -> None:
    picture, expected, _ = decoded
    height, width = picture.size
    found = picture.region(0, 0, width, height)
    apart = np.abs(found.cpu().numpy().astype(int) - expected)
    assert np.mean(apart) < 1.5 and np.quantile(apart, 0.99) <= 6


def test_the_same_boxes_come_out(decoded: Any, detector: Detector, device: str) -> None:
    picture, _, expected = decoded
    height, width = picture.size
    (view,) = WHOLE.views(width, height, 640)
    (reference,) = detector.boxes(detector.infer(expected[None]), [[view]])
    small = on_device.letterbox(picture, view.letterbox)
    raw = detector.infer(small.cpu().numpy()[None])
    there = torch.from_numpy(raw).to(device)
    (found,) = on_device.boxes(there, [view], CASCADE.detector, np.float32(FLOOR))
    sure = reference.score >= 0.25
    assert sure.any()
    for xyxy, score in zip(reference.xyxy[sure], reference.score[sure], strict=True):
        nearest = np.abs(found.xyxy - xyxy).max(axis=1).argmin()
        assert np.abs(found.xyxy[nearest] - xyxy).max() * view.letterbox.gain <= 0.5
        assert abs(found.score[nearest] - score) <= SCORE_TOLERANCE


def test_what_the_picture_covers_is_enough(decoded: Any, detector: Detector) -> None:
    """The band without the grey above and below gives what the whole input gives, nearly."""
    picture, _, expected = decoded
    height, width = picture.size
    (view,) = WHOLE.views(width, height, 640)
    assert view.letterbox.band != (0, 0, 640, 640)
    (whole,) = detector.boxes(detector.infer(expected[None]), [[view]])
    (band,) = detector.boxes(detector.look(expected[None], [view]), [[view]])
    sure = whole.score >= 0.25
    assert sure.any()
    apart = []
    for xyxy, score in zip(whole.xyxy[sure], whole.score[sure], strict=True):
        nearest = np.abs(band.xyxy - xyxy).max(axis=1).argmin()
        assert np.abs(band.xyxy[nearest] - xyxy).max() * view.letterbox.gain <= 3
        apart.append(abs(band.score[nearest] - score))
    assert 0 < np.max(apart) <= 0.1  # not the same network input, so not the same scores


def test_a_look_does_not_depend_on_what_else_is_looked_at(decoded: Any, detector: Detector) -> None:
    picture, _, expected = decoded
    height, width = picture.size
    (wide,) = WHOLE.views(width, height, 640)
    (tall,) = WHOLE.views(height, width, 640)
    (square,) = WHOLE.views(640, 640, 640)
    views = [wide, tall, square, wide]
    images = np.stack([expected, expected[:, ::-1], expected, expected[::-1]])
    together = detector.look(images, views)
    for image, view, raw in zip(images, views, together, strict=True):
        np.testing.assert_array_equal(detector.look(image[None], [view])[0], raw)
    np.testing.assert_array_equal(together[2], detector.infer(expected[None])[0])


@pytest.mark.parametrize("n", [0, 1, 300])
def test_boxes_of_one_output_are_those_of_the_cpu(detector: Detector, device: str, n: int) -> None:
    random = np.random.default_rng(n)
    raw = np.zeros((5, 8400), np.float32)
    raw[:2, :n] = random.uniform(50, 600, (2, n))
    raw[2:4, :n] = random.uniform(10, 150, (2, n))
    raw[4, :n] = random.uniform(0, 1, n).round(2)  # with ties
    (view,) = WHOLE.views(1920, 1080, 640)
    (expected,) = detector.boxes(raw[None], [[view]])
    there = torch.from_numpy(raw[None]).to(device)
    (found,) = on_device.boxes(there, [view], CASCADE.detector, np.float32(FLOOR))
    np.testing.assert_array_equal(found.score, expected.score)
    np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=1e-3)
    np.testing.assert_array_equal(found.class_id, expected.class_id)
    assert found.xyxy.dtype == np.float32 and found.class_id.dtype == np.int32


BOXES = np.array(
    [
        [100, 100, 110, 120],  # grows: less than the smallest side
        [300, 200, 400, 330],
        [0, 0, 40, 60],  # reaches out at the upper left
        [10, 20, 630, 350],  # shrinks, and reaches out everywhere
        [600.4, 300.7, 639.9, 359.2],
    ],
    np.float32,
)


def test_crops_are_those_of_the_cpu(decoded: Any, device: str) -> None:
    spec = CASCADE.classifier
    assert spec is not None
    rgb = decoded[1]
    expected = cut_crops(rgb, BOXES, spec)
    found = on_device.crops(on_device.Rgb(torch.from_numpy(rgb).to(device)), BOXES, spec)
    assert found.shape == expected.shape and found.dtype == torch.uint8
    assert np.abs(found.cpu().numpy().astype(int) - expected).max() <= 2


def test_probabilities_of_crops_are_those_of_the_cpu(decoded: Any, device: str) -> None:
    spec = CASCADE.classifier
    assert spec is not None
    model = spec.files["fp32"].load("fp32", spec.imgsz)
    classifier = Classifier(open_engine("onnxruntime", model, spec.normalisation), spec)
    rgb = decoded[1]
    picture = on_device.Rgb(torch.from_numpy(rgb).to(device))
    cut = on_device.crops(picture, BOXES, spec).cpu().numpy()
    np.testing.assert_allclose(
        classifier.probabilities(cut),
        classifier.probabilities(cut_crops(rgb, BOXES, spec)),
        atol=SCORE_TOLERANCE,
    )
