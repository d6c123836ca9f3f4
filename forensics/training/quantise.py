"""Symmetric INT8: QuantizeLinear/DequantizeLinear pairs around convolutions, calibrated on frames.

Weights are quantised per output channel, activations per tensor, all with zero point 0, which is
what TensorRT takes. Only inputs of convolutions are quantised, not their outputs, so that each
value is rounded once. Left in floating point: a convolution fed by a Softmax (the expectation over
box distances), whose weights are 0 .. 15, exact. Behind a Concat that feeds a convolution stands a
LeakyRelu of slope 1, which changes nothing: without it, OpenVINO (2026.4) moves the quantisation
above the Concat, computes in unsigned INT8 there, and leaves the zero point out of the convolution
(ONNX Runtime does not); a Clip or a Mul there is folded away and does not help.
The range of an activation holds 99.995 % of the values seen. On 270 validation pictures the bundled
detector's AP50 was then 0.575 (FP32: 0.567), with the extremes as range 0.551 to 0.554, with the
mean of each picture's extremes 0.549 to 0.565. Entropy calibration was not compared.
"""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from forensics.backends import Model, Normalisation, available_backends, open_engine
from forensics.errors import TrainingError
from forensics.training.onnx_files import as_input, run_graph
from forensics.types import FloatArray, ImageArray

QUANTISED = ("Conv", "Gemm")
KEPT_FLOAT_AFTER = {"Softmax"}
GUARD = "_guarded"
SEEN = 0.05
PERCENTILE = 99.995
MOST_PIXELS = 40 * 640 * 640  # about 6 GB of activations of the bundled detector
WORSE_FACTOR, WORSE_BY = 1.5, 0.005


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Calibration pictures, one at a time, as the network takes them."""

    def __init__(self, name: str, pictures: ImageArray, normalisation: Normalisation) -> None:
        self._name = name
        self._rest = iter(pictures)
        self._normalisation = normalisation

    def get_next(self) -> dict[str, FloatArray] | None:
        picture = next(self._rest, None)
        if picture is None:
            return None
        return {self._name: as_input(picture[None], self._normalisation)}


def quantise(
    graph: onnx.ModelProto, pictures: ImageArray, normalisation: Normalisation
) -> onnx.ModelProto:
    """An INT8 copy of `graph`; `pictures` uint8 (n, s, s, 3) calibrate it. Raises TrainingError.

    All values of all activations are held at once, so that many pictures are thinned evenly.
    """
    if not len(pictures):
        raise TrainingError("no picture to calibrate INT8 with; give other --calibration footage")
    chosen = thinned(pictures)
    graph = guarded(graph)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        onnx.save(graph, str(source))
        quantize_static(
            str(source),
            str(target),
            _Pictures(graph.graph.input[0].name, chosen, normalisation),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            nodes_to_exclude=kept_in_float(graph),
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "CalibPercentile": PERCENTILE,
                "OpTypesToExcludeOutputQuantization": list(QUANTISED),
            },
        )
        return onnx.load(str(target))


def thinned(pictures: ImageArray) -> ImageArray:
    """Evenly chosen ones of the pictures, MOST_PIXELS in all."""
    fitting = max(1, MOST_PIXELS // (pictures.shape[1] * pictures.shape[2]))
    return pictures[:: -(-len(pictures) // fitting)]


def guarded(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with an identity between each Concat and the convolutions it feeds."""
    result = onnx.ModelProto()
    result.CopyFrom(graph)
    makers = {name: node.op_type for node in graph.graph.node for name in node.output}
    fed = {
        node.input[0]
        for node in graph.graph.node
        if node.op_type in QUANTISED and makers.get(node.input[0]) == "Concat"
    }
    nodes = []
    for node in result.graph.node:
        if node.op_type in QUANTISED and node.input[0] in fed:
            node.input[0] += GUARD
        nodes.append(node)
        for name in fed.intersection(node.output):
            guard = helper.make_node("LeakyRelu", [name], [name + GUARD], name=name + GUARD)
            guard.attribute.append(helper.make_attribute("alpha", 1.0))
            nodes.append(guard)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def kept_in_float(graph: onnx.ModelProto) -> list[str]:
    """Names of the nodes that are not quantised; see the module's text."""
    makers = {name: node.op_type for node in graph.graph.node for name in node.output}
    return [
        node.name
        for node in graph.graph.node
        if node.op_type in QUANTISED and makers.get(node.input[0]) in KEPT_FLOAT_AFTER
    ]


def check_engines(
    reference: onnx.ModelProto,
    small: onnx.ModelProto,
    pictures: ImageArray,
    normalisation: Normalisation,
    first: int,
) -> dict[str, float]:
    """Mean error of the INT8 file against `reference` on each engine here.

    Of outputs from row `first` on (4: scores of a detector; 0: logits) where either is above 0.05.
    Raises TrainingError where one engine errs far more than another: it reads the file otherwise.
    """
    expected = run_graph(reference, as_input(pictures, normalisation))[:, first:]
    model = Model("int8.onnx", small.SerializeToString(), "0" * 64, "int8", pictures.shape[1])
    errors = {}
    for name, version in available_backends().items():
        if not version.startswith("not available"):
            found = open_engine(name, model, normalisation).infer(pictures)[:, first:]
            seen = np.maximum(np.abs(found), np.abs(expected)) > SEEN
            errors[name] = float(np.abs(found - expected)[seen].mean()) if seen.any() else 0.0
    worst = max(errors, key=lambda name: errors[name])
    if errors[worst] > WORSE_FACTOR * min(errors.values()) + WORSE_BY:
        listed = ", ".join(f"{name} {error:.3f}" for name, error in errors.items())
        raise TrainingError(
            f"{worst} computes other results from the INT8 file than the engine beside it (mean "
            f"errors: {listed}); leave INT8 out with --no-int8"
        )
    return errors


def symmetric_violations(graph: onnx.ModelProto) -> list[str]:
    """Names of zero points in the graph that are not 0: none in a symmetric one."""
    tensors = {t.name: t for t in graph.graph.initializer}
    odd = []
    for node in graph.graph.node:
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"} and len(node.input) > 2:
            zero: Any = onnx.numpy_helper.to_array(tensors[node.input[2]])
            if np.any(zero):
                odd.append(node.input[2])
    return odd


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser prints what it does, and recommends steps that are not needed here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
