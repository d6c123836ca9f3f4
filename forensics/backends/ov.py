"""OpenVINO: the default engine on CPUs.

Each image is a request of its own, spread over one stream per core: as fast as batches on the
machines measured, and results cannot depend on the batch. Small images share requests where that
changes no bit of the results (`ov_whole`). One request more than there are streams waits its turn,
and several calls may run at once, so that no stream idles between batches.
A network of fixed shape is faster than one of any: each shape asked for is compiled on its own.
Boxes that nobody will look at are not computed (`ov_boxes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import openvino as ov
from openvino.preprocess import PrePostProcessor

from forensics.backends.base import Model, Normalisation, Provenance, check_images
from forensics.backends.ov_boxes import SparseBoxes
from forensics.backends.ov_halves import Halves, halves
from forensics.backends.ov_requests import OPENING, Requests
from forensics.backends.ov_whole import Whole
from forensics.errors import BackendError
from forensics.types import FloatArray, ImageArray

# Below this score so many boxes are asked for that all of them cost less.
SPARSE_FROM = 0.01
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
        self._whole: dict[tuple[int, int], Whole] = {}
        self._sparse: dict[tuple[int, int], SparseBoxes] = {}
        with self._refused():
            network = _read(model)
            shape = network.input(0).partial_shape
            self.resizable = bool(shape[2].is_dynamic and shape[3].is_dynamic)
            self._halves = halves(network) if self.resizable else None
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
        network = self._of_shape(images.shape[1], images.shape[2])
        return self._run(network.run, network.output, images, network.together(len(images)))

    def infer_above(self, images: ImageArray, floor: float) -> FloatArray:
        """As `infer`; boxes that no score of at least `floor` goes with may be left 0."""
        if self._halves is None or floor < SPARSE_FROM or not len(images):
            return self.infer(images)
        check_images(images, self._model.imgsz, resizable=True)
        network = self._sparse_of_shape(self._halves, images.shape[1], images.shape[2])
        return self._run(partial(network.run, floor=floor), network.output, images, 1)

    def _run(
        self,
        run: Callable[[ImageArray, FloatArray], None],
        output: tuple[int, ...],
        images: ImageArray,
        together: int,
    ) -> FloatArray:
        """Run the images in groups of `together`, those left over one by one."""
        results = np.empty((len(images), *output), np.float32)
        shared = len(images) // together * together
        starts = [*range(0, shared, together), *range(shared, len(images))]
        runs = [
            self._workers.submit(run, images[start:stop], results[start:stop])
            for start, stop in pairwise([*starts, len(images)])
        ]
        try:
            for one in runs:
                one.result()
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed: {_first_line(error)}") from error
        return results

    def _no_result(self, height: int, width: int) -> FloatArray:
        """An empty result of the right shape, for which nothing is compiled."""
        with self._refused():
            network = self._taking_pixels(_read(self._model), (height, width))
        shape = tuple(int(n) for n in network.output(0).get_shape())[1:]
        return np.empty((0, *shape), np.float32)

    def _of_shape(self, height: int, width: int) -> Whole:
        with OPENING, self._refused():
            if (height, width) not in self._whole:

                def compiled(n: int) -> Requests:
                    network = self._taking_pixels(_read(self._model), (height, width), n)
                    return Requests(network, self._config)

                self._whole[height, width] = Whole(compiled)
            return self._whole[height, width]

    def _sparse_of_shape(self, cut: Halves, height: int, width: int) -> SparseBoxes:
        with OPENING, self._refused():
            if (height, width) not in self._sparse:
                scores = self._taking_pixels(cut.scores.clone(), (height, width))
                self._sparse[height, width] = SparseBoxes(cut, scores, self._config)
            return self._sparse[height, width]

    def _taking_pixels(self, network: Any, sides: tuple[int, int], n: int = 1) -> Any:
        """The network for pictures of these sides, uint8 (n, h, w, 3)."""
        network.reshape([n, 3, *sides])
        steps = PrePostProcessor(network)
        source = steps.input()
        source.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        source.model().set_layout(ov.Layout("NCHW"))
        process = source.preprocess().convert_element_type(ov.Type.f32)
        process.mean([255.0 * value for value in self._normalisation.mean])
        process.scale([255.0 * value for value in self._normalisation.std])
        return steps.build()

    @contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            line = _first_line(error)
            raise BackendError(f"OpenVINO cannot run {self._model.name}: {line}") from error


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


def _read(model: Model) -> Any:
    return ov.Core().read_model(model.data, b"")


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
