"""ONNX Runtime on the CPU: the reference that other engines are compared with."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from forensics.backends.base import Model, Normalisation, Provenance, check_images
from forensics.errors import BackendError
from forensics.types import FloatArray, ImageArray


def version() -> str:
    return str(ort.__version__)


class OnnxRuntimeEngine:
    """See `Engine`. One image a run, so that results cannot depend on the batch."""

    def __init__(self, model: Model, normalisation: Normalisation, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, not printed
        try:
            self._session = ort.InferenceSession(
                model.data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no public base class
            raise BackendError(f"ONNX Runtime cannot run {model.name}: {error}") from error
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        self._imgsz = model.imgsz
        self.resizable = all(isinstance(n, str) for n in self._session.get_inputs()[0].shape[2:])
        self._mean = 255 * np.asarray(normalisation.mean, np.float32)
        self._scale = 255 * np.asarray(normalisation.std, np.float32)
        self.provenance = Provenance(
            backend="onnxruntime",
            version=version(),
            device="CPU",
            precision=model.precision,
            arithmetic="fp32",
            threads=threads,
            model=model.name,
            model_sha256=model.sha256,
        )

    def infer(self, images: ImageArray) -> FloatArray:
        check_images(images, self._imgsz, resizable=self.resizable)
        if not len(images):
            return self._run(np.zeros(images.shape[1:], np.uint8))[:0]  # for its shape
        return np.concatenate([self._run(image) for image in images])

    def _run(self, image: ImageArray) -> FloatArray:
        planes = (image.astype(np.float32) - self._mean) / self._scale
        batch = np.ascontiguousarray(planes.transpose(2, 0, 1)[None])
        try:
            result = self._session.run([self._output], {self._input: batch})[0]
        except Exception as error:  # see above
            raise BackendError(f"ONNX Runtime failed: {error}") from error
        return np.asarray(result, np.float32)


def arithmetics() -> tuple[str, ...]:
    return ("fp32",)


def precisions() -> tuple[str, ...]:
    """Kinds of model files, fastest first: signed INT8 took 1.5 times as long as FP32 on x86."""
    return ("fp32", "int8")


def open_engine(
    model: Model, normalisation: Normalisation, threads: int, arithmetic: str
) -> OnnxRuntimeEngine:
    return OnnxRuntimeEngine(model, normalisation, threads)
