"""A network of an ONNX file as one that can be trained again.

Exported, BatchNorm is part of the convolutions, y = W x + b. It is put back from what the channels
of W x are on crops, mean m and variance v: with these as its statistics, gamma = sqrt(v + eps) and
beta = b + m, the network in evaluation mode is the same, and in training mode one of its kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from onnx import numpy_helper

from forensics.backends.graphs import with_full_weights
from forensics.errors import TrainingError


def take_network(
    model: torch.nn.Module, graph: onnx.ModelProto, batches: Sequence[torch.Tensor]
) -> None:
    """Give `model`, a timm network, the weights of `graph`, in place, in evaluation mode.

    `batches`: crops as the network takes them, float32 (n, 3, side, side). Raises TrainingError
    when `graph` is another network, or has more in it than convolutions with BatchNorm and a last
    layer.
    """
    convolutions = _of_kind(model, torch.nn.Conv2d)
    norms = _of_kind(model, torch.nn.BatchNorm2d)
    found = _weights(with_full_weights(graph), "Conv")
    last = _weights(with_full_weights(graph), "Gemm")
    network: Any = model
    layers = [*convolutions, network.get_classifier()]
    shapes = [tuple(layer.weight.shape) for layer in layers]
    if len(norms) != len(convolutions) or shapes != [w.shape for w, _ in (*found, *last)]:
        raise TrainingError(
            "the teacher is another network than --model, or one whose weights cannot be trained "
            "on: leave out --weights teacher"
        )
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, (*found, *last), strict=True):
            layer.weight.copy_(weight)
            if layer.bias is not None:
                layer.bias.copy_(bias)
        for norm, (_, bias) in zip(norms, found, strict=True):
            _set(norm, torch.zeros_like(bias), torch.ones_like(bias), bias)
        model.eval()
        with _statistics(convolutions) as sums:
            for batch in batches:
                model(batch)
        for norm, (_, bias), (count, total, squares) in zip(norms, found, sums, strict=True):
            mean = total / count
            variance = (squares / count - mean**2).clamp(min=0)
            _set(norm, mean.float(), variance.float(), bias)


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


def _set(norm: Any, mean: torch.Tensor, variance: torch.Tensor, bias: torch.Tensor) -> None:
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(torch.sqrt(variance + norm.eps))
    norm.bias.copy_(bias + mean)


@contextmanager
def _statistics(convolutions: Sequence[Any]) -> Iterator[list[list[Any]]]:
    """Values a channel of each convolution, their sums and sums of squares, float64 (channels,)."""
    sums: list[list[Any]] = [[0, 0.0, 0.0] for _ in convolutions]

    def note(place: int, output: torch.Tensor) -> None:
        values = output.double()
        sums[place][0] += values[:, 0].numel()
        sums[place][1] += values.sum(dim=(0, 2, 3))
        sums[place][2] += values.square().sum(dim=(0, 2, 3))

    hooks = [
        layer.register_forward_hook(lambda _, __, output, place=place: note(place, output))
        for place, layer in enumerate(convolutions)
    ]
    try:
        yield sums
    finally:
        for hook in hooks:
            hook.remove()
