"""ONNX graphs made ready for TensorRT: float16, pixels as input, no INT32 arithmetic.

TensorRT 11 and TensorRT-RTX know strongly typed networks only, so what a network computes in is
written in its graph: float16 means a converted graph, INT8 means QuantizeLinear pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from forensics.backends.base import Model, Normalisation
from forensics.backends.engine_cache import PIXELS
from forensics.errors import BackendError

HEAVY = {"Conv", "Gemm", "MatMul", "ConvTranspose"}


def prepare(model: Model, normalisation: Normalisation) -> bytes:
    """The graph that an engine is built from.

    Takes `pixels` uint8 (n, imgsz, imgsz, 3) RGB and gives float32; FP16 is made from FP32 where
    that is what `model` holds. Raises BackendError.
    """
    try:
        graph = with_full_weights(onnx.load_from_string(model.data))
        if model.precision == "fp16" and not is_half(graph):
            graph = to_fp16(graph)
        _fold_integer_biases(graph)
        _take_pixels(graph, normalisation, model.imgsz)
        onnx.checker.check_model(graph)
    except Exception as error:  # protobuf, onnx and its converter raise anything
        line = next(iter(str(error).splitlines()), repr(error))
        raise BackendError(f"TensorRT cannot run {model.name}: {line[:200]}") from error
    return bytes(graph.SerializeToString())


def with_full_weights(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which float32 weights that are stored as float16 and cast back are plain again."""
    full = onnx.ModelProto()
    full.CopyFrom(graph)
    casts = {
        node.input[0]: node
        for node in full.graph.node
        if node.op_type == "Cast" and node.input[0] == f"{node.output[0]}.half"
    }
    for tensor in full.graph.initializer:
        cast = casts.get(tensor.name)
        if cast is not None:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, cast.output[0]))
            full.graph.node.remove(cast)
    return full


def is_half(graph: onnx.ModelProto) -> bool:
    """Whether a graph with full weights computes in float16."""
    return any(tensor.data_type == TensorProto.FLOAT16 for tensor in graph.graph.initializer)


def to_fp16(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A graph that computes in float16, with float32 input and output.

    What follows the last layer with weights stays in float32: box coordinates of hundreds of
    pixels would else be rounded to half a pixel, and scores to a thousandth.
    """
    half = convert_float_to_float16(graph, keep_io_types=True, node_block_list=_tail(graph))
    _sort(half)
    return half


def _sort(graph: onnx.ModelProto) -> None:
    """Put each node after those that it needs; the converter appends its casts at the end."""
    makers = {name: n for n, node in enumerate(graph.graph.node) for name in node.output}
    order = TopologicalSorter(
        {
            n: [makers[name] for name in node.input if name in makers]
            for n, node in enumerate(graph.graph.node)
        }
    ).static_order()
    nodes = [onnx.NodeProto.FromString(graph.graph.node[n].SerializeToString()) for n in order]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _tail(graph: onnx.ModelProto) -> list[str]:
    """Names of the nodes from which no heavy node follows.

    A convolution of a Softmax, the expectation over box distances, belongs to them.
    """
    makers = {name: node for node in graph.graph.node for name in node.output}
    before: set[str] = set()
    waiting = [
        node
        for node in graph.graph.node
        if node.op_type in HEAVY
        and not any(makers[n].op_type == "Softmax" for n in node.input if n in makers)
    ]
    while waiting:
        node = waiting.pop()
        if node.name not in before:
            before.add(node.name)
            waiting.extend(makers[name] for name in node.input if name in makers)
    return [node.name for node in graph.graph.node if node.name not in before]


def _fold_integer_biases(graph: onnx.ModelProto) -> None:
    """Replace biases kept as INT32 by their float32 values; TensorRT dequantises 8 bits at most.

    Exact: bias = integer x scale, in float32, is what DequantizeLinear computes.
    """
    tensors = {tensor.name: tensor for tensor in graph.graph.initializer}
    for node in list(graph.graph.node):
        stored = tensors.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if stored is None or stored.data_type != TensorProto.INT32:
            continue
        scale = numpy_helper.to_array(tensors[node.input[1]])
        values = numpy_helper.to_array(stored).astype(np.float32) * scale
        graph.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        graph.graph.node.remove(node)
    _drop_unused(graph)


def _drop_unused(graph: onnx.ModelProto) -> None:
    used = {name for node in graph.graph.node for name in node.input}
    for tensor in [t for t in graph.graph.initializer if t.name not in used]:
        graph.graph.initializer.remove(tensor)


def _take_pixels(graph: onnx.ModelProto, normalisation: Normalisation, imgsz: int) -> None:
    """Make the input uint8 (n, imgsz, imgsz, 3): a quarter of the bytes to copy to the GPU."""
    old = graph.graph.input[0].name
    shift, scale = (
        (255 * np.asarray(values, np.float32)).reshape(1, 3, 1, 1)
        for values in (normalisation.mean, normalisation.std)
    )
    graph.graph.initializer.extend(
        [
            numpy_helper.from_array(shift, "pixels.mean"),
            numpy_helper.from_array(scale, "pixels.std"),
        ]
    )
    steps: Iterable[tuple[str, list[str], str, dict[str, Any]]] = (
        ("Cast", [PIXELS], "pixels.float", {"to": TensorProto.FLOAT}),
        ("Transpose", ["pixels.float"], "pixels.planes", {"perm": [0, 3, 1, 2]}),
        ("Sub", ["pixels.planes", "pixels.mean"], "pixels.centred", {}),
        ("Div", ["pixels.centred", "pixels.std"], old, {}),
    )
    for place, (kind, inputs, output, attributes) in enumerate(steps):
        node = helper.make_node(kind, inputs, [output], name=f"{output}.made", **attributes)
        graph.graph.node.insert(place, node)
    shape = ["batch", imgsz, imgsz, 3]
    graph.graph.input[0].CopyFrom(helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, shape))
