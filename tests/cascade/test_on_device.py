"""The work around the networks on tensors against the CPU path, here on CPU tensors."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

import av
import torch

from forensics.backends import Provenance, open_engine
from forensics.boxes import Letterbox
from forensics.cascade import on_device
from forensics.cascade.classifier import Classifier
from forensics.cascade.crops import cut_crops
from forensics.cascade.definition import load_cascade
from forensics.cascade.detector import Detector
from forensics.footage.pixels import Packer, PixelLayout, unpack_rgb
from forensics.tiling import WHOLE
from forensics.types import Frame, Packed

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
CASCADE = load_cascade("handgun")
assert CASCADE.classifier is not None
FLOOR = 0.05
SCORE_TOLERANCE = 0.03


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
    assert np.mean(apart) < 0.25 and np.quantile(apart, 0.99) <= 2


def test_colours_are_the_decoders(decoded: Any) -> None:
    picture, expected, _ = decoded
    height, width = picture.size
    found = picture.region(0, 0, width, height)
    apart = np.abs(found.cpu().numpy().astype(int) - expected)
    assert apart.max() <= 1 and apart.mean() < 0.001
    left, top, right, bottom = 33, 51, 234, 99  # odd: within the blocks that share chroma
    found = picture.region(left, top, right, bottom)
    apart = np.abs(found.cpu().numpy().astype(int) - expected[top:bottom, left:right])
    assert apart.max() <= 1 and apart.mean() < 0.001


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p"])
@pytest.mark.parametrize(
    ("matrix", "colour_range"), [(1, 1), (2, 0), (4, 1), (6, 2), (7, 1), (9, 1)]
)
def test_colours_of_each_matrix(name: str, matrix: int, colour_range: int, device: str) -> None:
    layout = PixelLayout(name, 64, 48, matrix, colour_range)
    random = np.random.default_rng(matrix)
    data = random.integers(16, 236, layout.size_bytes, dtype=np.uint8)
    packed = Packed(name, matrix, colour_range, data)
    picture = on_device.picture_of(framed(64, 48, packed), torch.from_numpy(data).to(device))
    found = picture.region(0, 0, 64, 48).cpu().numpy().astype(int)
    assert np.abs(found - unpack_rgb(layout, data)).max() <= 1


def framed(width: int, height: int, packed: Packed) -> Frame:
    none = np.empty((0, 1, 1, 3), np.uint8)
    return Frame(0, 0, 0.0, True, False, width, height, none, none.copy, packed=packed)


def test_letterbox_of_rgb_is_the_decoders(device: str) -> None:
    """As of a picture file, or of a video that was turned."""
    with av.open(str(SAMPLE / "gate-pistol.mp4")) as container:
        picture = next(container.decode(video=0)).reformat(format="rgb24")
    packer = Packer(640)
    layout = packer.layout(picture)
    slot = memoryview(bytearray(packer.views_bytes + layout.size_bytes))
    packer.pack(picture, layout, slot)
    view = np.frombuffer(slot, np.uint8, packer.views_bytes).reshape(640, 640, 3)
    data = np.frombuffer(slot, np.uint8, layout.size_bytes, offset=packer.views_bytes).copy()
    frame = framed(layout.width, layout.height, Packed("rgb24", 0, 0, data))
    there = on_device.picture_of(frame, torch.from_numpy(data).to(device))
    found = on_device.letterbox(there, Letterbox(layout.width, layout.height, 640))
    apart = np.abs(found.cpu().numpy().astype(int) - view)
    assert np.mean(apart) < 0.1 and apart.max() <= 2


@pytest.mark.parametrize("before", [3, 64, 1000])
@pytest.mark.parametrize("after", [1, 7, 64, 100])
@pytest.mark.parametrize("start", [-20, -2000, 0, 30, 1200])
def test_a_side_is_resampled_in_pieces(
    before: int, after: int, start: int, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights for a very long side do not lie in memory all at once."""
    values = torch.from_numpy(np.random.default_rng(1).random((2, 1000), np.float32)).to(device)
    span = on_device.Span(start, before, after)
    whole = on_device._resampled(values, span)
    monkeypatch.setattr(on_device, "MOST_WEIGHTS", 2000)
    assert before < 1000 or span.steps < after or after == 1
    torch.testing.assert_close(on_device._resampled(values, span), whole)
    places = np.clip(np.arange(start, start + before), 0, 999)
    repeated = values[:, torch.from_numpy(places)]
    torch.testing.assert_close(
        on_device._resampled(repeated, on_device.Span(0, before, after)), whole
    )


def test_a_picture_of_a_million_columns(device: str) -> None:
    row = torch.arange(2_000_000, device=device).remainder(251).to(torch.uint8)
    picture = on_device.Rgb(row[None, :, None].expand(2, -1, 3))
    found = on_device.letterbox(picture, Letterbox(2_000_000, 2, 640))
    assert found.shape == (640, 640, 3)
    assert (found[319].float().mean() - 125).abs() < 1
    spec = CASCADE.classifier
    assert spec is not None
    cut = on_device.crops(picture, np.array([[0, 0, 2e6, 2]], np.float32), spec)
    assert cut.shape == (1, spec.imgsz, spec.imgsz, 3)


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


def test_boxes_of_a_batch_are_those_of_each_alone(device: str) -> None:
    """Also where boxes of several frames and classes would overlap, or lie far outside."""
    random = np.random.default_rng(3)
    raw = np.zeros((5, 7, 3000), np.float32)
    raw[:, :2] = random.uniform(-3000, 3000, (5, 2, 3000))
    raw[:3, :2] = random.uniform(200, 300, (3, 2, 3000))
    raw[:, 2:4] = random.uniform(1, 80, (5, 2, 3000))
    raw[:4, 4:] = random.uniform(0, 1, (4, 3, 3000)).round(3)
    spec = replace(
        CASCADE.detector, classes=("a", "b", "c"), candidates=("c", "a"), max_detections=100
    )
    views = [WHOLE.views(1920, 1080, 640)[0], *WHOLE.views(300, 400, 640)] * 2 + [
        WHOLE.views(64, 64, 640)[0]
    ]
    floor = np.float32(0.01)
    there = torch.from_numpy(raw).to(device)
    together = on_device.boxes(there, views, spec, floor)
    reference = Detector(NoEngine(), spec, 0.01).boxes(list(raw), [[view] for view in views])
    assert [len(found) for found in together] == [100, 100, 100, 100, 0]
    for number, (found, expected) in enumerate(zip(together, reference, strict=True)):
        (alone,) = on_device.boxes(there[[number]], [views[number]], spec, floor)
        for name in ("xyxy", "score", "class_id"):
            np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))
        np.testing.assert_array_equal(found.score, expected.score)
        np.testing.assert_array_equal(found.class_id, expected.class_id)
        np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=1e-3)


class NoEngine:
    provenance = Provenance("none", "0", "none", "fp32", "fp32", 1, "none", "0")

    def infer(self, images: Any) -> Any:
        raise AssertionError("nobody looks")


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
