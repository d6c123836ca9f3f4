"""Small pictures share a request to OpenVINO, but never where that changes what comes out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import helper, numpy_helper

from forensics.backends import open_engine
from forensics.backends.base import Model, Normalisation
from forensics.backends.ov_requests import Requests
from forensics.backends.ov_whole import TOGETHER, Whole

SIDE = 64
AS_IT_IS = Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
POOL = helper.make_node("GlobalAveragePool", ["images"], ["mean"])
FLAT = helper.make_node("Flatten", ["mean"], ["logits"])
# What a picture gives is its distance from the mean of those beside it.
BESIDE = [
    POOL,
    helper.make_node("ReduceMean", ["mean"], ["all"], axes=[0], keepdims=1),
    helper.make_node("Sub", ["mean", "all"], ["apart"]),
    helper.make_node("Flatten", ["apart"], ["logits"]),
]
# Made for one picture at a time, whatever its input says.
ONE = [POOL, helper.make_node("Reshape", ["mean", "one"], ["logits"])]


def network(nodes: Sequence[onnx.NodeProto]) -> bytes:
    shown = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["n", 3, "h", "w"])
    said = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 3])
    one = numpy_helper.from_array(np.array([1, 3], np.int64), "one")
    graph = helper.make_graph(list(nodes), "means", [shown], [said], [one])
    opset = [helper.make_opsetid("", 17)]
    made: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return made


def compiled(data: bytes, n: int, side: int = SIDE) -> Requests:
    read = ov.Core().read_model(data, b"")
    read.reshape([n, 3, side, side])
    steps = ov.preprocess.PrePostProcessor(read)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    return Requests(steps.build(), {})


@pytest.mark.parametrize(
    ("nodes", "most"),
    [([POOL, FLAT], TOGETHER), (BESIDE, 1), (ONE, 1)],
    ids=["plain", "beside", "one"],
)
def test_only_what_gives_the_same_together_shares(nodes: Any, most: int) -> None:
    whole = Whole(lambda n: compiled(network(nodes), n))
    assert whole.together(TOGETHER - 1) == 1
    assert whole.together(TOGETHER) == whole.together(3 * TOGETHER + 1) == most


@pytest.mark.parametrize(("side", "most"), [(120, TOGETHER), (160, 1)])
def test_only_small_pictures_share(side: int, most: int) -> None:
    whole = Whole(lambda n: compiled(network([POOL, FLAT]), n, side))
    assert whole.together(2 * TOGETHER) == most


@pytest.mark.parametrize("nodes", [[POOL, FLAT], BESIDE, ONE], ids=["plain", "beside", "one"])
@pytest.mark.parametrize("n", [TOGETHER - 1, TOGETHER, 2 * TOGETHER + 3])
def test_pictures_give_together_what_they_give_alone(nodes: Any, n: int) -> None:
    data = network(nodes)
    model = Model("means.onnx", data, hashlib.sha256(data).hexdigest(), "fp32", SIDE)
    engine = open_engine("openvino", model, AS_IT_IS)
    images = np.random.default_rng(n).integers(0, 256, (n, SIDE, SIDE, 3), np.uint8)
    alone = np.concatenate([engine.infer(images[[k]]) for k in range(n)])
    np.testing.assert_array_equal(engine.infer(images), alone)
