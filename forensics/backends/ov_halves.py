"""A detector's network in two: scores of the whole picture, boxes only where a score calls for one.

A YOLO network ends in two branches over the same feature maps. That of the boxes is about a fifth
of its work, and nearly all of its boxes are thrown away, since no score reaches the floor. Here it
runs on windows of the feature maps around those that do. The same layers compute them from the
same values, so the boxes are the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import openvino as ov
from openvino import opset13

from forensics.backends.windows import WINDOW

# What may stand between the feature maps and the boxes. A convolution mixes cells as far as it
# reaches; all else takes each cell for itself, or is computed from the shape of the map.
PER_CELL = frozenset(
    {
        *("Add", "Divide", "Multiply", "Subtract", "Convert", "FakeQuantize"),
        *("PRelu", "Sigmoid", "Swish", "Softmax"),
        *("Broadcast", "Concat", "Constant", "Gather", "Range", "Reshape", "ShapeOf", "Slice"),
        *("Split", "Squeeze", "StridedSlice", "Transpose", "Unsqueeze", "VariadicSplit"),
    }
)
# What may only round values to 8 bits.
QUANTISING = frozenset({"Convert", "FakeQuantize", "Multiply", "Subtract"})
TRIAL = 256  # side in pixels of the picture that a cut network is tried with


@dataclass(frozen=True)
class Halves:
    """A network cut where its two branches part.

    `scores`: picture -> scores (1, classes, anchors), then feature maps (1, channels, h, w) in the
    order of the anchors. `boxes`: for each, a network from a map of any size to the boxes (1, 4,
    h * w) of its cells. `reach`: how many cells to each side a box depends on.
    """

    scores: Any
    boxes: list[Any]
    reach: int


def halves(network: Any) -> Halves | None:
    """Cut an OpenVINO network that takes pictures of any size; None where it has another form."""
    try:
        cut = _cut(network.clone())
        return cut if cut is not None and _fits(cut) else None
    except RuntimeError:  # what is left over of another form is no network
        return None


def _cut(network: Any) -> Halves | None:
    branches = _branches(network)
    if branches is None:
        return None
    boxes, scores = branches
    maps = _feature_maps(boxes, _ancestors(scores.get_node()))
    reach = _reach(boxes, maps)
    if not maps or reach is None or 2 * reach >= WINDOW:
        return None
    names = [(port.get_node().get_friendly_name(), port.get_index()) for port in maps]
    tails = [_of_map(network.clone(), names, level) for level in range(len(names))]
    results = [opset13.result(port) for port in (scores, *maps)]
    return Halves(ov.Model(results, network.get_parameters(), "scores"), tails, reach)


def _fits(cut: Halves) -> bool:
    """Whether each map gives a box for each of its cells, and all maps those of all anchors."""
    trial = cut.scores.clone()
    trial.reshape([1, 3, TRIAL, TRIAL])
    (_, _, anchors), *maps = [tuple(map(int, port.get_shape())) for port in trial.outputs]
    for branch, shape in zip(cut.boxes, maps, strict=True):
        tail = branch.clone()
        tail.reshape(list(shape))
        if tuple(tail.output(0).get_shape()) != (1, 4, shape[2] * shape[3]):
            return False
    return sum(height * width for _, _, height, width in maps) == anchors


def _branches(network: Any) -> tuple[Any, Any] | None:
    """The outputs (boxes, scores) that the network's only result joins."""
    if len(network.outputs) != 1:
        return None
    joined = network.output(0).get_node().input_value(0).get_node()
    if joined.get_type_name() != "Concat" or joined.get_input_size() != 2:
        return None
    boxes, scores = joined.input_value(0), joined.input_value(1)
    shape = boxes.get_partial_shape()
    if shape.rank.get_length() != 3 or shape[1].is_dynamic or shape[1].get_length() != 4:
        return None
    return boxes, scores


def _ancestors(node: Any) -> set[str]:
    names: set[str] = set()
    waiting = [node]
    while waiting:
        here = waiting.pop()
        if here.get_name() not in names:
            names.add(here.get_name())
            waiting.extend(port.get_node() for port in here.input_values())
    return names


def _feature_maps(boxes: Any, shared: set[str]) -> list[Any]:
    """What the branch of the boxes shares with that of the scores, in the order of its anchors."""
    found: dict[str, Any] = {}
    seen: set[str] = set()

    def visit(port: Any) -> None:
        node = port.get_node()
        if node.get_name() in shared and _is_map(port):
            stored = _stored(port)
            found.setdefault(stored.get_node().get_name(), stored)
        elif node.get_name() not in seen:
            seen.add(node.get_name())
            for source in node.input_values():
                visit(source)

    visit(boxes)
    return list(found.values())


def _is_map(port: Any) -> bool:
    shape = port.get_partial_shape()
    return bool(
        port.get_element_type() == ov.Type.f32
        and shape.rank.is_static
        and shape.rank.get_length() == 4
        and shape[2].is_dynamic
        and shape[3].is_dynamic
    )


def _stored(port: Any) -> Any:
    """The map as 8-bit numbers, if it becomes such; both halves then begin from the same ones."""
    node = port.get_node()
    while node.get_type_name() in QUANTISING and not any(
        _is_map(source) for source in node.input_values()[1:]
    ):
        if port.get_element_type() in (ov.Type.u8, ov.Type.i8):
            return port
        port = node.input_value(0)
        node = port.get_node()
    return port


def _reach(boxes: Any, maps: Sequence[Any]) -> int | None:
    """How far the convolutions between `maps` and `boxes` reach; None if anything else mixes."""
    ends = {port.get_node().get_name() for port in maps}
    known: dict[str, int | None] = {}

    def of(node: Any) -> int | None:
        name = node.get_name()
        if name in ends:
            return 0
        if name not in known:
            known[name] = None  # a cycle cannot be
            own = _own_reach(node)
            before = [of(port.get_node()) for port in node.input_values()]
            if own is not None and None not in before:
                known[name] = own + max((n for n in before if n is not None), default=0)
        return known[name]

    return of(boxes.get_node())


def _own_reach(node: Any) -> int | None:
    if node.get_type_name() in PER_CELL:
        return 0
    if node.get_type_name() not in ("Convolution", "GroupConvolution"):
        return None
    sides = node.input_value(1).get_partial_shape()
    height, width = sides[len(sides) - 2].get_length(), sides[len(sides) - 1].get_length()
    how = node.get_attributes()
    half = height // 2
    fits = (
        height == width == 2 * half + 1
        and set(how["strides"]) == {1}
        and set(how["dilations"]) == {1}
        and {*how["pads_begin"], *how["pads_end"]} == {half}
    )
    return half if fits else None


def _of_map(network: Any, maps: Sequence[tuple[str, int]], level: int) -> Any:
    """The branch of the boxes from one of the feature maps alone, as a network of its own."""
    nodes = {node.get_friendly_name(): node for node in network.get_ops()}
    branches = _branches(network)
    assert branches is not None
    given = []
    for name, index in maps:
        own = nodes[name].output(index)
        made = opset13.parameter(own.get_partial_shape(), own.get_element_type())
        for target in list(own.get_target_inputs()):
            target.replace_source_output(made.output(0))
        given.append(made)
    _keep_only([made.get_name() for made in given], level, branches[0].get_node())
    _ask_for_batch(network, given[level])
    return ov.Model([opset13.result(branches[0])], [given[level]], f"boxes {level}")


def _ask_for_batch(network: Any, given: Any) -> None:
    """Take the size of the batch, which any of the maps could tell, from that of `given`."""
    for node in network.get_ops():
        if _is_batch(node):
            asked = opset13.shape_of(given, output_type=node.get_element_type())
            node.input(0).replace_source_output(asked.output(0))


def _is_batch(node: Any) -> bool:
    """Whether a node gives the first number of a shape."""
    if node.get_type_name() != "Gather":
        return False
    shape, index = (port.get_node() for port in node.input_values()[:2])
    return (
        shape.get_type_name() == "ShapeOf"
        and index.get_type_name() == "Constant"
        and not index.get_data().any()
    )


def _keep_only(maps: Sequence[str], level: int, boxes: Any) -> None:
    """Where something of each map is joined into one, put that of one map in its place."""
    known: dict[str, frozenset[str]] = {name: frozenset({name}) for name in maps}

    def sources(node: Any) -> frozenset[str]:
        name = node.get_name()
        if name not in known:
            asked = [] if _is_batch(node) else node.input_values()
            before = [sources(port.get_node()) for port in asked]
            known[name] = frozenset().union(*before)
            if node.get_type_name() == "Concat" and before == [{one} for one in maps]:
                for target in list(node.output(0).get_target_inputs()):
                    target.replace_source_output(node.input_value(level))
        return known[name]

    sources(boxes)
