"""OpenVINO: the default engine on CPUs.

Each image is a request of its own, spread over one stream per core: as fast as batches on the
machines measured, and results cannot depend on the batch. One request more than there are streams
waits its turn, and several calls may run at once, so that no stream idles between batches.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino as ov
from openvino.preprocess import PrePostProcessor

from forensics.backends.base import Model, Normalisation, Provenance, check_images
from forensics.errors import BackendError
from forensics.types import FloatArray, ImageArray

HINTS = {"fp32": "f32", "bf16": "bf16"}


def version() -> str:
    return str(ov.get_version()).partition("-")[0]


class OpenVinoEngine:
    """See `Engine`. Colour layout and normalisation are compiled into the network."""

    parallel_calls = 2

    def __init__(
        self, model: Model, normalisation: Normalisation, threads: int, arithmetic: str
    ) -> None:
        try:
            compiled = _compile(model, normalisation, threads, arithmetic)
            self._shape = tuple(int(n) for n in compiled.output(0).get_shape())[1:]
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot run {model.name}: {_first_line(error)}") from error
        self._imgsz = model.imgsz
        n_requests = int(compiled.get_property("NUM_STREAMS")) + 1
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(n_requests):
            self._idle.put(compiled.create_infer_request())
        self._workers = ThreadPoolExecutor(n_requests, thread_name_prefix="openvino")
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
        check_images(images, self._imgsz)
        images = np.ascontiguousarray(images)
        results = np.empty((len(images), *self._shape), np.float32)
        runs = [
            self._workers.submit(self._run, images[number : number + 1], results[number])
            for number in range(len(images))
        ]
        try:
            for run in runs:
                run.result()
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed: {_first_line(error)}") from error
        return results

    def _run(self, image: ImageArray, result: FloatArray) -> None:
        """Run one image, uint8 (1, imgsz, imgsz, 3), in place, and copy its output to `result`."""
        request = self._idle.get()
        try:
            request.infer(image, share_inputs=True)
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


def _compile(model: Model, normalisation: Normalisation, threads: int, arithmetic: str) -> Any:
    core = ov.Core()
    network = core.read_model(model.data, b"")
    network.reshape([1, 3, model.imgsz, model.imgsz])
    steps = PrePostProcessor(network)
    source = steps.input()
    source.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    source.model().set_layout(ov.Layout("NCHW"))
    process = source.preprocess().convert_element_type(ov.Type.f32)
    process.mean([255.0 * value for value in normalisation.mean])
    process.scale([255.0 * value for value in normalisation.std])
    config = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        # Left to itself it takes bfloat16 where the CPU has it, and does not say so.
        "INFERENCE_PRECISION_HINT": HINTS[arithmetic],
    }
    return core.compile_model(steps.build(), "CPU", config)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)
