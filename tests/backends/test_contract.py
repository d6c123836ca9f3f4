"""One suite that every engine must pass, on the real bundled networks."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from forensics.backends import (
    Engine,
    Model,
    available_backends,
    is_resizable,
    open_engine,
    parallel_calls,
    resolve_arithmetic,
    resolve_backend,
)
from forensics.backends.base import BACKENDS
from forensics.cascade.definition import load_cascade
from forensics.errors import BackendError

CASCADE = load_cascade("handgun")
assert CASCADE.classifier is not None
SPECS: dict[str, Any] = {"detector": CASCADE.detector, "classifier": CASCADE.classifier}
SIZES = {"detector": 160, "classifier": CASCADE.classifier.imgsz}
# Sums in another order; scores are compared, boxes are in pixels of a 160-pixel input.
TOLERANCE = {"detector": 2e-2, "classifier": 2e-3}
# bfloat16 keeps 8 bits: scores differ in the second digit, logits in the first.
BF16_TOLERANCE = {"detector": 0.05, "classifier": 0.5}


# Two engines round the same INT8 network at other places: a level or two of 127 here and there.
INT8_TOLERANCE = {"detector": 0.05, "classifier": 0.5}


def load(stage: str, precision: str = "fp32") -> Model:
    return SPECS[stage].files[precision].load(precision, SIZES[stage])


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    version = available_backends()[request.param]
    if version.startswith("not available"):
        pytest.skip(f"{request.param}: {version}")
    return str(request.param)


@pytest.fixture(scope="module", params=["detector", "classifier"])
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(backend: str, stage: str) -> Engine:
    return open_engine(backend, load(stage), SPECS[stage].normalisation)


@pytest.fixture(scope="module")
def images(stage: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    size = SIZES[stage]
    return np.ascontiguousarray(np.repeat(np.repeat(coarse, size // 8, 1), size // 8, 2))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_any_batch_size(engine: Engine, images: Any, n: int) -> None:
    result = engine.infer(images[:n])
    assert result.shape[0] == n
    assert result.dtype == np.float32
    assert result.shape[1:] == engine.infer(images).shape[1:]
    assert np.isfinite(result).all()


def test_repeats_to_the_bit(engine: Engine, images: Any) -> None:
    np.testing.assert_array_equal(engine.infer(images), engine.infer(images))


def test_does_not_depend_on_the_batch(engine: Engine, images: Any) -> None:
    together = engine.infer(images)
    for number in range(len(images)):
        np.testing.assert_array_equal(engine.infer(images[[number]])[0], together[number])
    np.testing.assert_array_equal(engine.infer(images[::-1]), together[::-1])


def test_results_are_not_reused(engine: Engine, images: Any) -> None:
    first = engine.infer(images[:1])
    kept = first.copy()
    engine.infer(images[1:2])
    np.testing.assert_array_equal(first, kept)


def test_calls_at_once_give_what_they_give_alone(engine: Engine, images: Any) -> None:
    alone = engine.infer(images)
    calls = parallel_calls(engine)
    with ThreadPoolExecutor(calls) as pool:
        for found in pool.map(engine.infer, [images] * 3 * calls):
            np.testing.assert_array_equal(found, alone)


def test_int8_does_not_depend_on_the_batch_and_agrees_with_the_reference(
    backend: str, stage: str, images: Any
) -> None:
    engine = open_engine(backend, load(stage, "int8"), SPECS[stage].normalisation)
    together = engine.infer(images)
    for number in range(len(images)):
        np.testing.assert_array_equal(engine.infer(images[[number]])[0], together[number])
    reference = open_engine("onnxruntime", load(stage, "int8"), SPECS[stage].normalisation)
    scores = np.s_[:, 4:] if stage == "detector" else np.s_[:]
    np.testing.assert_allclose(
        together[scores], reference.infer(images)[scores], atol=INT8_TOLERANCE[stage]
    )


def test_agrees_with_the_reference(engine: Engine, images: Any, stage: str) -> None:
    reference = open_engine("onnxruntime", load(stage), SPECS[stage].normalisation)
    np.testing.assert_allclose(
        engine.infer(images), reference.infer(images), atol=TOLERANCE[stage], rtol=1e-3
    )


def test_other_shapes(backend: str) -> None:
    """A resizable detector takes bands, like the reference, whatever else is in the batch."""
    engine = open_engine(backend, load("detector"), SPECS["detector"].normalisation)
    if not is_resizable(engine):
        pytest.skip(f"{backend}: its engines have one shape")
    reference = open_engine("onnxruntime", load("detector"), SPECS["detector"].normalisation)
    random = np.random.default_rng(4)
    for shape in ((3, 96, 160, 3), (2, 160, 64, 3), (0, 96, 160, 3)):
        band = random.integers(0, 256, shape, dtype=np.uint8)
        found = engine.infer(band)
        cells = sum(shape[1] // step * (shape[2] // step) for step in (8, 16, 32))
        assert found.shape == (len(band), 5, cells)
        np.testing.assert_allclose(
            found, reference.infer(band), atol=TOLERANCE["detector"], rtol=1e-3
        )
        for number in range(len(band)):
            np.testing.assert_array_equal(engine.infer(band[[number]])[0], found[number])
    with pytest.raises(BackendError, match="multiples of 32"):
        engine.infer(np.zeros((1, 100, 160, 3), np.uint8))


def test_classifier_has_one_shape(backend: str) -> None:
    spec = SPECS["classifier"]
    engine = open_engine(backend, load("classifier"), spec.normalisation)
    assert not is_resizable(engine)
    with pytest.raises(BackendError, match="uint8"):
        engine.infer(np.zeros((1, spec.imgsz, 2 * spec.imgsz, 3), np.uint8))


def test_reads_red_green_blue(engine: Engine, images: Any, stage: str) -> None:
    assert not np.array_equal(engine.infer(images[:1]), engine.infer(images[:1, ..., ::-1].copy()))


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_change_scores(backend: str, stage: str, images: Any, threads: int) -> None:
    one = open_engine(backend, load(stage), SPECS[stage].normalisation, threads=threads)
    other = open_engine(backend, load(stage), SPECS[stage].normalisation, threads=1)
    np.testing.assert_allclose(one.infer(images[:2]), other.infer(images[:2]), atol=1e-3)


@pytest.mark.parametrize("wrong", ["dtype", "size", "rank"])
def test_wrong_images(engine: Engine, images: Any, wrong: str) -> None:
    bad = {
        "dtype": images.astype(np.float32),
        "size": images[:, :-8],
        "rank": images[0],
    }[wrong]
    with pytest.raises(BackendError, match="uint8"):
        engine.infer(bad)


def test_provenance(engine: Engine, backend: str, stage: str) -> None:
    facts = engine.provenance
    assert facts.backend == backend
    assert facts.model_sha256 == SPECS[stage].files["fp32"].sha256
    assert facts.version


def test_corrupt_model(backend: str, stage: str) -> None:
    model = load(stage)
    broken = Model(model.name, model.data[:5000], "0" * 64, "fp32", model.imgsz)
    with pytest.raises(BackendError, match=r"cannot run detector|cannot run classifier"):
        open_engine(backend, broken, SPECS[stage].normalisation)


# key = "location", then a value; the value first; tag and length longer than they need be.
OUTSIDE = [
    b"\x0a\x08location\x12\x06secret",
    b"\x12\x06secret\x0a\x08location",
    b"\x8a\x00\x88\x80\x80\x00location\x12\x06secret",
]


@pytest.mark.parametrize("entry", OUTSIDE)
def test_outside_weights_are_refused(tmp_path: Any, entry: bytes) -> None:
    outside = tmp_path / "model.onnx"
    outside.write_bytes(b"..." + entry)
    with pytest.raises(BackendError, match="keeps weights in other files"):
        Model.read(outside, precision="fp32", imgsz=64)


def test_pickles_and_missing_models_are_refused(tmp_path: Any) -> None:
    pickle = tmp_path / "model.pt"
    pickle.write_bytes(b"\x80\x04.")
    with pytest.raises(BackendError, match="not an .onnx file"):
        Model.read(pickle, precision="fp32", imgsz=64)
    for name in ("none.onnx", "nu\0ll.onnx"):
        with pytest.raises(BackendError, match="cannot read model"):
            Model.read(tmp_path / name, precision="fp32", imgsz=64)


def test_named_backend_never_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "openvino"):
        monkeypatch.setitem(BACKENDS, name, "forensics.backends.not_there")
    with pytest.raises(BackendError, match="openvino is not available"):
        resolve_backend("openvino")
    name, why = resolve_backend("auto")
    assert name == "onnxruntime"
    assert "openvino not available" in why


def test_no_backend_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BACKENDS:
        monkeypatch.setitem(BACKENDS, name, "forensics.backends.not_there")
    with pytest.raises(BackendError, match="no backend works"):
        resolve_backend("auto")


def test_unknown_backend() -> None:
    with pytest.raises(BackendError, match="choose one of auto"):
        resolve_backend("abacus")


def test_arithmetic_is_never_replaced(backend: str, stage: str, images: Any) -> None:
    """What is not to be had is refused; what is had is recorded, and close to the reference."""
    reference = open_engine(backend, load(stage), SPECS[stage].normalisation)
    assert reference.provenance.arithmetic == "fp32"
    module = importlib.import_module(BACKENDS[backend])
    if "bf16" not in module.arithmetics():
        with pytest.raises(BackendError, match="no bf16 arithmetic"):
            resolve_arithmetic(backend, "bf16", ())
        assert resolve_arithmetic(backend, "auto", ("fp32", "bf16")) == "fp32"
        return
    assert resolve_arithmetic(backend, "auto", ("fp32", "bf16")) == "bf16"
    assert resolve_arithmetic(backend, "auto", ("fp32",)) == "fp32"
    fast = open_engine(backend, load(stage), SPECS[stage].normalisation, arithmetic="bf16")
    assert fast.provenance.arithmetic == "bf16"
    together = fast.infer(images)
    np.testing.assert_array_equal(fast.infer(images[[3]])[0], together[3])
    scores = np.s_[:, 4:] if stage == "detector" else np.s_[:]
    np.testing.assert_allclose(
        together[scores], reference.infer(images)[scores], atol=BF16_TOLERANCE[stage]
    )
    assert not np.array_equal(together, reference.infer(images))
