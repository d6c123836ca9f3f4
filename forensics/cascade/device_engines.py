"""Engines for tensors that lie on a device: TensorRT's, and any engine of the host's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from forensics.backends import Engine
from forensics.backends.trt import TensorRtEngine
from forensics.cascade.lanes import GPU, Lanes
from forensics.cascade.on_device import load_torch
from forensics.errors import BackendError


class DeviceEngine(Protocol):
    """A network ready to run where its pictures are.

    `infer` takes a tensor uint8 RGB (n, imgsz, imgsz, 3), n >= 1, and returns the first output, a
    new tensor float32 (n, ...), on the same device. Nothing waits: the run is put on the stream
    that is current. As with `Engine`, an image's result is independent of its batch, to the bit.
    """

    def infer(self, images: Any) -> Any: ...


def engine_on(lanes: Lanes, engine: Engine) -> DeviceEngine:
    """`engine` for tensors of the device of `lanes`. Raises BackendError where it has no way."""
    if lanes.device != GPU:
        return HostEngine(engine)
    if not isinstance(engine, TensorRtEngine):
        raise BackendError(f"{engine.provenance.backend} does not take pictures on the GPU")
    return TensorRtOnDevice(engine, lanes.handle)


class HostEngine:
    """An engine of the host, for tensors of the host."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def infer(self, images: Any) -> Any:
        return load_torch().from_numpy(np.asarray(self._engine.infer(images.numpy())))


class TensorRtOnDevice:
    """TensorRT's engine on PyTorch's memory; `stream` gives the raw handle of the current one."""

    def __init__(self, engine: TensorRtEngine, stream: Callable[[], int]) -> None:
        self._engine, self._stream = engine, stream

    def infer(self, images: Any) -> Any:
        torch = load_torch()
        batch, *shape = self._engine.loaded.input_shape
        if images.dtype != torch.uint8 or list(images.shape[1:]) != shape:
            sides = ", ".join(map(str, shape))
            got = f"{images.dtype} {tuple(images.shape)}"
            raise BackendError(f"engine takes uint8 (n, {sides}), got {got}")
        images = images.contiguous()
        size = (len(images), *self._engine.loaded.output_shape[1:])
        results = torch.empty(size, dtype=torch.float32, device=images.device)
        for start in range(0, len(images), batch):
            part, target = images[start : start + batch], results[start : start + batch]
            self._engine.run_on_device(
                part.data_ptr(), target.data_ptr(), len(part), self._stream()
            )
        return results
