"""A network of an ONNX file as one that can be trained on.

Exported, BatchNorm is part of the convolutions, y = W x + b. It is put back as a scale and a shift,
with statistics that change nothing (mean 0, variance 1): gamma = |W| of each output channel, beta
= b, and W / |W| is left. Its statistics must be kept in training: those of a batch are others.
"""

from __future__ import annotations

from typing import Any

import onnx
import torch
from onnx import numpy_helper

from forensics.backends.graphs import with_full_weights
from forensics.errors import TrainingError


def take_network(model: torch.nn.Module, graph: onnx.ModelProto) -> None:
    """Give `model`, a timm network, the weights of `graph`, in place.

    Raises TrainingError when `graph` is another network, or has more in it than convolutions with
    BatchNorm and a last layer.
    """
    convolutions = _of_kind(model, torch.nn.Conv2d)
    norms = _of_kind(model, torch.nn.BatchNorm2d)
    full = with_full_weights(graph)
    found, last = _weights(full, "Conv"), _weights(full, "Gemm")
    network: Any = model
    layers = [*convolutions, network.get_classifier()]
    shapes = [tuple(layer.weight.shape) for layer in layers]
    if len(norms) != len(convolutions) or shapes != [w.shape for w, _ in (*found, *last)]:
        raise TrainingError(
            "the teacher is another network than --model, or one whose weights cannot be trained "
            "on: leave out --weights teacher"
        )
    with torch.no_grad():
        for layer, norm, (weight, bias) in zip(convolutions, norms, found, strict=True):
            length = weight.flatten(1).norm(dim=1)
            length[length == 0] = 1
            layer.weight.copy_(weight / length.view(-1, 1, 1, 1))
            norm.reset_running_stats()
            norm.weight.copy_(length * (1 + norm.eps) ** 0.5)
            norm.bias.copy_(bias)
        layers[-1].weight.copy_(last[0][0])
        layers[-1].bias.copy_(last[0][1])


def _of_kind(model: torch.nn.Module, kind: type) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, kind)]


def _weights(graph: onnx.ModelProto, kind: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weight and bias of each node of a kind that has both, in their order."""
    tensors = {t.name: t for t in graph.graph.initializer}
    return [
        (_tensor(tensors[node.input[1]]), _tensor(tensors[node.input[2]]))
        for node in graph.graph.node
        if node.op_type == kind and len(node.input) > 2 and {*node.input[1:]} <= tensors.keys()
    ]


def _tensor(value: Any) -> torch.Tensor:
    return torch.from_numpy(numpy_helper.to_array(value).copy())
