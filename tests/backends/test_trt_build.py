"""The bundled networks in TensorRT-RTX's real parser and builder, which need no GPU.

Running the engines needs one: that is the contract suite, where there is a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("tensorrt_rtx", reason="the extra `gpu` is not installed")

import tensorrt_rtx as trt_rtx

from forensics.backends import Model, available_backends, open_engine, resolve_backend
from forensics.backends.engine_cache import PIXELS, VARIABLE, EngineCache
from forensics.backends.graphs import prepare
from forensics.backends.trt import building_target, ready_plan
from forensics.backends.trt_build import PROFILES, engine_key
from forensics.backends.trt_library import RTX, Messages, open_library
from forensics.cascade.definition import load_cascade, model_file
from forensics.cli.main import run
from forensics.errors import BackendError

CASCADE = load_cascade("handgun")
assert CASCADE.classifier is not None
SPECS: dict[str, Any] = {"detector": CASCADE.detector, "classifier": CASCADE.classifier}
OUTPUTS = {
    "detector": (4 + len(CASCADE.detector.classes), 8400),
    "classifier": (len(CASCADE.classifier.classes),),
}
KINDS = [(stage, precision) for stage in SPECS for precision in ("fp32", "fp16", "int8")]
COMPUTE = "8.9"


def load(stage: str, precision: str) -> Model:
    spec = SPECS[stage]
    return model_file(spec.files, precision).load(precision, spec.imgsz)


@pytest.fixture(scope="module")
def ready() -> dict[tuple[str, str], bytes]:
    return {
        (stage, precision): prepare(load(stage, precision), SPECS[stage].normalisation)
        for stage, precision in KINDS
    }


@pytest.mark.parametrize(("stage", "precision"), KINDS)
def test_networks_parse(ready: Any, stage: str, precision: str) -> None:
    """No error; input and output named, shaped and typed as the backend takes them."""
    messages = Messages(trt_rtx)
    builder = trt_rtx.Builder(messages.logger)
    network = builder.create_network(1 << int(trt_rtx.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt_rtx.OnnxParser(network, messages.logger)
    assert parser.parse(ready[stage, precision]), messages.kept
    assert parser.num_errors == 0
    (taken,) = [network.get_input(n) for n in range(network.num_inputs)]
    (given,) = [network.get_output(n) for n in range(network.num_outputs)]
    size = SPECS[stage].imgsz
    assert (taken.name, tuple(taken.shape)) == (PIXELS, (-1, size, size, 3))
    assert (taken.dtype, given.dtype) == (trt_rtx.uint8, trt_rtx.float32)
    assert tuple(given.shape) == (-1, *OUTPUTS[stage])
    halves = sum(
        network.get_layer(n).get_output(0).dtype == trt_rtx.float16
        for n in range(network.num_layers)
    )
    assert (halves > 40) == (precision == "fp16")


@pytest.mark.parametrize(("stage", "precision"), KINDS)
def test_engines_build_and_are_kept(tmp_path: Path, stage: str, precision: str) -> None:
    """All profiles are taken; the second time the engine comes from the cache."""
    model, normalisation = load(stage, precision), SPECS[stage].normalisation
    library, target = building_target(COMPUTE)
    key = engine_key(model, normalisation, library, target)
    assert (key.profiles, key.gpu, key.precision) == (PROFILES, "", precision)
    cache = EngineCache(tmp_path)
    plan, sha256 = ready_plan(model, normalisation, library, key, cache)
    assert len(plan) > 1_000_000
    assert cache.load(key) == (plan, sha256)


@pytest.mark.parametrize(("stage", "precision"), KINDS)
def test_preparing_keeps_what_a_network_computes(ready: Any, stage: str, precision: str) -> None:
    """ONNX Runtime runs the prepared graph, pixels in, and agrees with the file it is made from.

    FP16 is rounding: scores within 0.01, logits within 0.05, against FP32. INT8: biases are folded
    exactly, but ONNX Runtime then fuses other layers, so that a value between two steps of 1/127
    may be rounded the other way.
    """
    size = SPECS[stage].imgsz
    coarse = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    images = np.ascontiguousarray(np.repeat(np.repeat(coarse, size // 8, 1), size // 8, 2))
    source = load(stage, "int8" if precision == "int8" else "fp32")
    expected = open_engine("onnxruntime", source, SPECS[stage].normalisation).infer(images)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        ready[stage, precision], options, providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {PIXELS: images})[0]
    rows = np.s_[:, 4:] if stage == "detector" else np.s_[:]
    tolerance = {"fp32": 1e-6, "fp16": 0.01, "int8": 0.02}[precision]
    tolerance *= 5 if stage == "classifier" and precision == "fp16" else 1
    np.testing.assert_allclose(found[rows], expected[rows], atol=tolerance)


def test_fp16_keeps_the_tail_in_single_precision(ready: Any) -> None:
    graph = onnx.load_from_string(ready["detector", "fp16"])
    kinds = {t.name: t.data_type for t in graph.graph.initializer}
    convolutions = [node for node in graph.graph.node if node.op_type == "Conv"]
    halves = [kinds[node.input[1]] == onnx.TensorProto.FLOAT16 for node in convolutions]
    assert halves.count(False) == 1 and len(halves) > 80  # the expectation over box distances


def test_a_network_that_tensorrt_cannot_parse(tmp_path: Path) -> None:
    ready = prepare(load("classifier", "int8"), SPECS["classifier"].normalisation)
    graph = onnx.load_from_string(ready)
    graph.graph.node[-1].op_type = "NonMaxSuppression"
    library, target = building_target(COMPUTE)
    from forensics.backends.trt_build import _Building

    building = _Building(load("classifier", "int8"), library, target, EngineCache(tmp_path))
    with pytest.raises(BackendError, match=r"cannot run classifier.int8.onnx: \w+"):
        building.run(graph.SerializeToString())


def test_a_broken_network_is_refused_before_it_is_parsed() -> None:
    model = load("classifier", "int8")
    broken = Model(model.name, model.data[:5000], "0" * 64, "int8", 224)
    with pytest.raises(BackendError, match="TensorRT cannot run classifier.int8.onnx"):
        prepare(broken, SPECS["classifier"].normalisation)


@pytest.mark.parametrize("compute", ["9.0", "1", ""])
def test_other_gpus(compute: str) -> None:
    """TensorRT-RTX does not build for the H100 (9.0)."""
    with pytest.raises(BackendError, match="builds for compute capability 7.5, 8.0, 8.6, 8.9, 12"):
        building_target(compute)


def test_export_builds_ahead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "engines"))
    given = ["export", "--to", "tensorrt", "--compute-capability"]
    assert run([*given, "9.0"]) == 1
    assert "builds for compute capability" in capsys.readouterr().err
    assert run([*given, COMPUTE, "--precision", "fp32", "--imgsz", "320"]) == 0
    shown = capsys.readouterr()
    assert "building an engine of detector.fp32.onnx: 100 %" in shown.err
    assert len(list((tmp_path / "engines").glob("*.engine"))) == 2
    assert "detector fp32: " in shown.out and "classifier fp32: " in shown.out
    assert "any GPU of compute capability 8.9" in shown.out


@pytest.mark.skipif(
    not available_backends()["tensorrt"].startswith("not available"), reason="TensorRT works here"
)
def test_without_a_gpu_it_says_so_and_auto_falls_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert open_library().flavour in {RTX, "tensorrt"}  # it is there; the GPU is not
    with pytest.raises(BackendError, match="tensorrt is not available: the"):
        resolve_backend("tensorrt")
    name, why = resolve_backend("auto")
    assert name != "tensorrt" and "tensorrt not available: the" in why
    assert run(["export", "--to", "tensorrt"]) == 1
    assert "error: the" in capsys.readouterr().err
    assert run(["backends"]) == 0
    assert "tensorrt     not available: the" in capsys.readouterr().out
