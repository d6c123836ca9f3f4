"""Boxes computed around the cells that ask for them are those of the whole network."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from forensics.backends import Engine, Model, Normalisation, infer_above, open_engine
from forensics.backends.ov_halves import halves
from forensics.backends.windows import WINDOW, window_sides, windows
from forensics.bench.measure import letterboxed
from forensics.cascade.definition import load_cascade

CASCADE = load_cascade("handgun")
SPEC = CASCADE.detector
CLIP = Path("datasets/sample/gate-plain.mp4")


@given(
    wanted=arrays(np.bool_, st.tuples(st.integers(1, 30), st.integers(1, 30))),
    reach=st.integers(0, (WINDOW - 1) // 2),
)
def test_windows_hold_what_the_wanted_cells_depend_on(
    wanted: NDArray[np.bool_], reach: int
) -> None:
    sides = window_sides(*wanted.shape)
    covered = np.zeros_like(wanted)
    for place in windows(wanted, reach):
        assert wanted[place.rows, place.columns].any()
        covered[place.rows, place.columns] = True
        spans = ((place.rows, place.top), (place.columns, place.left))
        for (block, start), side, length in zip(spans, sides, wanted.shape, strict=True):
            assert start >= 0 and start + side <= length
            assert start <= max(block.start - reach, 0)
            assert start + side >= min(block.stop + reach, length)
    assert covered[wanted].all()


def test_windows_are_few() -> None:
    """One for neighbours inside a block, one for each far from the others."""
    wanted = np.zeros((48, 80), bool)
    wanted[4:8, 4:8] = True
    wanted[40, [0, 79]] = True
    assert len(windows(wanted, 2)) == 3


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    """Eight frames of the sample, 384 x 640."""
    seen = [image[0, 128:512] for image, _ in islice(letterboxed(CLIP, 640), 0, 96, 12)]
    return np.stack(seen)


@pytest.fixture(scope="module", params=["fp32", "int8"])
def engine(request: pytest.FixtureRequest) -> Engine:
    model = SPEC.files[request.param].load(request.param, 640)
    return open_engine("openvino", model, SPEC.normalisation)


@pytest.mark.parametrize("floor", [0.01, 0.05, 0.15, 0.9999])
def test_boxes_are_those_of_the_whole_network(
    frames: NDArray[np.uint8], engine: Engine, floor: float
) -> None:
    precision = engine.provenance.precision
    whole, some = engine.infer(frames), infer_above(engine, frames, floor)
    # One half's scores are rounded to 8 bits at the same places, but not by the same kernels.
    tolerance = 1e-6 if precision == "fp32" else 0.02
    assert np.abs(whole[:, 4:] - some[:, 4:]).max() <= tolerance
    asked = (some[:, 4:] >= floor).any(axis=1)
    assert asked.any() == (floor < 0.9)
    differences = np.abs(whole - some)[:, :4].max(axis=1)[asked]
    assert differences.max(initial=0) <= (1e-3 if precision == "fp32" else 2.0)
    assert (some[:, :4] == 0).all(axis=1).any(), "every box was computed"


def test_each_picture_is_computed_alone(frames: NDArray[np.uint8], engine: Engine) -> None:
    together = infer_above(engine, frames, 0.05)
    for n in range(len(frames)):
        assert np.array_equal(infer_above(engine, frames[[n]], 0.05)[0], together[n])


def test_a_low_floor_takes_the_whole_network(frames: NDArray[np.uint8], engine: Engine) -> None:
    assert np.array_equal(infer_above(engine, frames[:1], 0.001), engine.infer(frames[:1]))


def test_no_pictures_no_boxes(frames: NDArray[np.uint8], engine: Engine) -> None:
    assert infer_above(engine, frames[:0], 0.05).shape == (0, 5, 5040)


@pytest.mark.parametrize("name", ["yolov8n", "yolo26n"])
def test_networks_of_other_forms(name: str, tmp_path: Path) -> None:
    """As ultralytics writes them, with weights of chance and three classes."""
    net = pytest.importorskip("ultralytics").YOLO(f"{name}.yaml")
    head = net.model.model[-1]
    head.end2end = False
    for layers in head.cv3:
        layers[-1].bias.data += 6  # else chance weights give no score to speak of
    net.model.pt_path = str(tmp_path / f"{name}.pt")
    path = Path(net.export(format="onnx", dynamic=True, imgsz=160, simplify=False, verbose=False))
    model = Model.read(path, precision="fp32", imgsz=320)
    assert halves(ov.Core().read_model(model.data, b"")) is not None
    engine = open_engine("openvino", model, Normalisation())
    images = np.random.default_rng(1).integers(0, 256, (2, 256, 320, 3), np.uint8)
    whole = engine.infer(images)
    floor = float(np.quantile(whole[:, 4:].max(axis=1), 0.98))
    asked = (whole[:, 4:] >= floor).any(axis=1)
    some = infer_above(engine, images, floor)
    assert floor > 0.02 and asked.sum() > 10
    assert np.abs(whole - some)[:, :4].max(axis=1)[asked].max() <= 1e-3


def test_a_classifier_is_left_whole() -> None:
    assert CASCADE.classifier is not None
    spec = CASCADE.classifier
    model = spec.files["fp32"].load("fp32", spec.imgsz)
    assert halves(ov.Core().read_model(model.data, b"")) is None
