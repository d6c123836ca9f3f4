"""TensorFlow's "same" padding, as timm traces it, made part of the convolutions.

timm computes such padding from the picture's size while it runs, and torch traces that into some
200 nodes and a Pad of its own before each convolution of stride 2. The size of a classifier's input
is fixed, so the Pad is too: the convolution can do it, for nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

SPATIAL = slice(2, None)


def with_folded_padding(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which convolutions pad with zeros themselves where a Pad did it before them.

    The graph's input must be (batch, channels, height, width) of a fixed height and width. A Pad of
    another kind, or of batch or channels, stays.
    """
    folded = onnx.ModelProto()
    folded.CopyFrom(graph)
    nodes = folded.graph.node
    pads = {node.output[0]: node for node in nodes if node.op_type == "Pad"}
    padded = [node for node in nodes if node.op_type == "Conv" and node.input[0] in pads]
    if not padded:
        return folded
    amounts = _computed(graph, [pads[conv.input[0]] for conv in padded])
    for conv in padded:
        pad = pads[conv.input[0]]
        by, value = amounts[pad.output[0]]
        begin, end = np.split(by, 2)
        if value or any(np.delete(side, [2, 3]).any() for side in (begin, end)):
            continue
        conv.input[0] = pad.input[0]
        _set_pads(conv, [*begin[SPATIAL], *end[SPATIAL]])
    _drop_dead(folded)
    onnx.checker.check_model(folded, full_check=True)
    return folded


def _computed(graph: onnx.ModelProto, pads: list[onnx.NodeProto]) -> dict[str, tuple[Any, float]]:
    """By a Pad's output: int64 (8,) amounts before and after each axis, and what it pads with.

    Found by running the graph on one blank picture.
    """
    shown = onnx.ModelProto()
    shown.CopyFrom(graph)
    wanted = {name: None for pad in pads if _is_constant(pad) for name in pad.input[1:3] if name}
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    asked = [name for name in wanted if name not in known]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in asked)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(
        shown.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    taken = session.get_inputs()[0]
    blank = np.zeros((1, *taken.shape[1:]), np.float32)
    if asked:
        known |= dict(zip(asked, session.run(asked, {taken.name: blank}), strict=True))
    found = {}
    for pad in pads:
        value = known[pad.input[2]] if len(pad.input) > 2 and pad.input[2] else 0.0
        odd = np.nan if not _is_constant(pad) else float(value)
        found[pad.output[0]] = (known.get(pad.input[1], np.zeros(8, np.int64)), odd)
    return found


def _is_constant(pad: onnx.NodeProto) -> bool:
    modes = [item.s for item in pad.attribute if item.name == "mode"]
    return modes in ([], [b"constant"]) and len(pad.input) < 4


def _set_pads(conv: onnx.NodeProto, pads: list[Any]) -> None:
    """Add to what the convolution pads itself."""
    place = next((n for n, item in enumerate(conv.attribute) if item.name == "pads"), None)
    before = [0] * len(pads) if place is None else list(conv.attribute[place].ints)
    if place is not None:
        del conv.attribute[place]
    total = [int(a + b) for a, b in zip(before, pads, strict=True)]
    conv.attribute.append(helper.make_attribute("pads", total))


def _drop_dead(graph: onnx.ModelProto) -> None:
    """Take out nodes and tensors that nothing uses any more."""
    used = {value.name for value in graph.graph.output}
    kept = []
    for node in reversed(graph.graph.node):
        if used.intersection(node.output):
            used.update(node.input)
            kept.append(node)
    del graph.graph.node[:]
    graph.graph.node.extend(reversed(kept))
    tensors = [tensor for tensor in graph.graph.initializer if tensor.name in used]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(tensors)
