"""Requests to a compiled OpenVINO network, each in the hands of one thread at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import RLock
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

# Held while a network is compiled and first run. Two first calls at once, on any two requests of a
# process, can block for ever: OpenVINO (2026.4) sets up its element types in them, each of the two
# waiting for what the other holds (a C++ guard; Python's lock).
OPENING = RLock()


class Requests:
    """A network of one shape, compiled. `given`, `outputs`: shapes of what it takes and gives."""

    def __init__(self, network: Any, config: dict[str, Any]) -> None:
        with OPENING:
            compiled = ov.Core().compile_model(network, "CPU", config)
            self.outputs = [tuple(map(int, port.get_shape())) for port in compiled.outputs]
            self._idle: SimpleQueue[Any] = SimpleQueue()
            for _ in range(int(compiled.get_property("NUM_STREAMS")) + 1):
                self._idle.put(compiled.create_infer_request())
            port = compiled.input(0)
            self.given = tuple(map(int, port.get_shape()))
            with self.run(np.zeros(self.given, port.get_element_type().to_dtype())):
                pass

    @contextmanager
    def run(self, tensor: NDArray[Any]) -> Iterator[list[NDArray[Any]]]:
        """Run it, in place if it can be; its outputs are valid until the `with` is left."""
        request = self._idle.get()
        try:
            request.infer(np.ascontiguousarray(tensor), share_inputs=True)
            yield [request.get_output_tensor(n).data for n in range(len(self.outputs))]
        finally:
            self._idle.put(request)
