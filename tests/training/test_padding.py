"""Padding made part of convolutions: nothing else may change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("onnx", reason="the extra `train` is not installed")

import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from forensics.training.padding import with_folded_padding


def graph_with_pad(pads: list[int], value: float, mode: str = "constant") -> onnx.ModelProto:
    """Pad, then a convolution that pads one pixel itself."""
    random = np.random.default_rng(1)
    weights = random.normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Pad", ["images", "by", "value"], ["padded"], mode=mode),
        helper.make_node(
            "Conv", ["padded", "weights"], ["logits"], strides=[2, 2], pads=[1, 1, 1, 1]
        ),
    ]
    tensors = [
        numpy_helper.from_array(np.array(pads, np.int64), "by"),
        numpy_helper.from_array(np.float32(value), "value"),
        numpy_helper.from_array(weights, "weights"),
    ]
    shown = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["n", 3, 9, 8])
    said = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 4, "h", "w"])
    graph = helper.make_graph(nodes, "pad", [shown], [said], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(graph: onnx.ModelProto, images: Any) -> Any:
    return ort.InferenceSession(graph.SerializeToString()).run(None, {"images": images})[0]


@pytest.mark.parametrize(
    ("pads", "value", "mode", "folds"),
    [
        ([0, 0, 0, 0, 0, 0, 1, 1], 0.0, "constant", True),
        ([0, 0, 2, 1, 0, 0, 0, 3], 0.0, "constant", True),
        ([0, 0, 0, 0, 0, 0, 1, 1], 0.5, "constant", False),
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.0, "reflect", False),
    ],
)
def test_only_zeros_around_the_picture_fold(
    pads: list[int], value: float, mode: str, folds: bool
) -> None:
    graph = graph_with_pad(pads, value, mode)
    folded = with_folded_padding(graph)
    kinds = Counter(node.op_type for node in folded.graph.node)
    assert kinds == ({"Conv": 1} if folds else {"Pad": 1, "Conv": 1})
    images = np.random.default_rng(2).normal(size=(2, 3, 9, 8)).astype(np.float32)
    np.testing.assert_allclose(answer(folded, images), answer(graph, images), atol=1e-5)


def test_padded_channels_stay() -> None:
    graph = graph_with_pad([0, 0, 0, 0, 0, 0, 0, 0], 0.0)
    by = next(t for t in graph.graph.initializer if t.name == "by")
    by.CopyFrom(numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 1, 0, 0], np.int64), "by"))
    weights = next(t for t in graph.graph.initializer if t.name == "weights")
    weights.CopyFrom(numpy_helper.from_array(np.ones((4, 4, 3, 3), np.float32), "weights"))
    folded = with_folded_padding(graph)
    assert [node.op_type for node in folded.graph.node] == ["Pad", "Conv"]
