"""OpenVINO: the default engine on CPUs.

Each image is a request of its own, spread over one stream per core: as fast as batches on the
machines measured, and results cannot depend on the batch. One request more than there are streams
waits its turn, and several calls may run at once, so that no stream idles between batches.
A network of fixed shape is faster than one of any: each shape asked for is compiled on its own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import openvino as ov
from openvino.preprocess import PrePostProcessor

from forensics.backends.base import Model, Normalisation, Provenance, check_images
from forensics.errors import BackendError
from forensics.types import FloatArray, ImageArray

# Held while a network is compiled and first run. Two first calls at once, on any two requests of a
# process, can block for ever: OpenVINO (2026.4) sets up its element types in them, each of the two
# waiting for what the other holds (a C++ guard; Python's lock).
OPENING = Lock()
HINTS = {"fp32": "f32", "bf16": "bf16"}


def version() -> str:
    return str(ov.get_version()).partition("-")[0]


class OpenVinoEngine:
    """See `Engine`. Colour layout and normalisation are compiled into the network."""

    parallel_calls = 2

    def __init__(
        self, model: Model, normalisation: Normalisation, threads: int, arithmetic: str
    ) -> None:
        self._model, self._normalisation = model, normalisation
        self._config = _config(threads, arithmetic)
        self._compiled: dict[tuple[int, int], _Compiled] = {}
        self.resizable = self._has_any_shape()
        if not self.resizable:
            self._of_shape(model.imgsz, model.imgsz)
        self._workers = ThreadPoolExecutor(threads + 1, thread_name_prefix="openvino")
        self.provenance = Provenance(
            backend="openvino",
            version=version(),
            device="CPU",
            precision=model.precision,
            arithmetic=arithmetic,
            threads=threads,
            model=model.name,
            model_sha256=model.sha256,
        )

    def infer(self, images: ImageArray) -> FloatArray:
        check_images(images, self._model.imgsz, resizable=self.resizable)
        if not len(images):
            return self._no_result(images.shape[1], images.shape[2])
        compiled = self._of_shape(images.shape[1], images.shape[2])
        results = np.empty((len(images), *compiled.output), np.float32)
        runs = [
            self._workers.submit(compiled.run, image, result)
            for image, result in zip(images, results, strict=True)
        ]
        try:
            for run in runs:
                run.result()
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed: {_first_line(error)}") from error
        return results

    def _no_result(self, height: int, width: int) -> FloatArray:
        """An empty result of the right shape, for which nothing is compiled."""
        try:
            network = _network(self._model, self._normalisation, (height, width))
        except RuntimeError as error:
            raise self._unusable(error) from error
        shape = tuple(int(n) for n in network.output(0).get_shape())[1:]
        return np.empty((0, *shape), np.float32)

    def _has_any_shape(self) -> bool:
        try:
            shape = ov.Core().read_model(self._model.data, b"").input(0).partial_shape
            return bool(shape[2].is_dynamic and shape[3].is_dynamic)
        except RuntimeError as error:
            raise self._unusable(error) from error

    def _of_shape(self, height: int, width: int) -> _Compiled:
        with OPENING:
            if (height, width) not in self._compiled:
                try:
                    network = _network(self._model, self._normalisation, (height, width))
                    compiled = ov.Core().compile_model(network, "CPU", self._config)
                except RuntimeError as error:
                    raise self._unusable(error) from error
                self._compiled[height, width] = _Compiled(compiled, (height, width))
            return self._compiled[height, width]

    def _unusable(self, error: RuntimeError) -> BackendError:
        return BackendError(f"OpenVINO cannot run {self._model.name}: {_first_line(error)}")


class _Compiled:
    """A network of one shape, and requests to it. `output`: shape of a picture's result."""

    def __init__(self, compiled: Any, sides: tuple[int, int]) -> None:
        self.output = tuple(int(n) for n in compiled.output(0).get_shape())[1:]
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(int(compiled.get_property("NUM_STREAMS")) + 1):
            self._idle.put(compiled.create_infer_request())
        self.run(np.zeros((*sides, 3), np.uint8), np.empty(self.output, np.float32))

    def run(self, image: ImageArray, result: FloatArray) -> None:
        """Run one image, uint8 (h, w, 3), in place if it can be, and copy its output."""
        request = self._idle.get()
        try:
            request.infer(np.ascontiguousarray(image[None]), share_inputs=True)
            result[:] = request.get_output_tensor(0).data[0]
        finally:
            self._idle.put(request)


def arithmetics() -> tuple[str, ...]:
    """What this CPU computes in, fastest first."""
    native = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("bf16", "fp32") if native else ("fp32",)


def precisions() -> tuple[str, ...]:
    """Kinds of model files, fastest first."""
    return ("int8", "fp32")


def open_engine(
    model: Model, normalisation: Normalisation, threads: int, arithmetic: str
) -> OpenVinoEngine:
    return OpenVinoEngine(model, normalisation, threads, arithmetic)


def _network(model: Model, normalisation: Normalisation, sides: tuple[int, int]) -> Any:
    network = ov.Core().read_model(model.data, b"")
    network.reshape([1, 3, *sides])
    steps = PrePostProcessor(network)
    source = steps.input()
    source.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    source.model().set_layout(ov.Layout("NCHW"))
    process = source.preprocess().convert_element_type(ov.Type.f32)
    process.mean([255.0 * value for value in normalisation.mean])
    process.scale([255.0 * value for value in normalisation.std])
    return steps.build()


def _config(threads: int, arithmetic: str) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        # Left to itself it takes bfloat16 where the CPU has it, and does not say so.
        "INFERENCE_PRECISION_HINT": HINTS[arithmetic],
    }


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)
