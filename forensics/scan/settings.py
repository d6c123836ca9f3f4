"""The settings of a scan, and what of them determines the log."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import forensics
from forensics.backends import (
    BACKENDS,
    MAKES_FP16,
    Engine,
    available_backends,
    available_cores,
    open_engine,
    resolve_arithmetic,
    resolve_backend,
    resolve_precision,
)
from forensics.boxes import STRIDE
from forensics.cascade.classifier import Classifier
from forensics.cascade.definition import (
    CascadeDefinition,
    ClassifierSpec,
    DetectorSpec,
    check_given,
    load_cascade,
    model_file,
    summary_hash,
)
from forensics.cascade.detector import Detector
from forensics.cascade.device_pipeline import DevicePipeline
from forensics.cascade.pipeline import Pipeline, Runs
from forensics.cascade.place import Place, place_for
from forensics.errors import CascadeError
from forensics.footage.protocol import Sampling
from forensics.footage.reader import DEFAULT_MAX_PIXELS, MAX_VIEWS_BYTES, SILENCE_S
from forensics.runlog.manifest import config_hash
from forensics.runlog.schemas import SCHEMA_VERSION
from forensics.tiling import WHOLE, Tiling
from forensics.types import ImageArray

ON_DEVICE = ("torch", "torchvision")  # what scales and cuts frames there
LIBRARIES = ("av", "numpy", "opencv-python-headless", "openvino", "onnxruntime", "pyarrow")
DEFAULT_SEGMENT_S = 60.0


def default_batch(threads: int | None = None) -> int:
    """Frames handed on at a time: two for each thread, so that all have work, within reason."""
    return min(16, max(4, 2 * (threads or available_cores())))


@dataclass(frozen=True)
class ScanSettings:
    """What to run and how. `floor` <= `gate`; both are detector scores. `imgsz` in pixels.

    `place` is where this machine would best keep frames; `frames_on` is where they are.
    """

    cascade: CascadeDefinition
    backend: str
    backend_why: str
    floor: float
    gate: float
    imgsz: int
    max_detections: int
    tiling: Tiling = WHOLE
    detector_only: bool = False
    precision: str = "fp32"
    arithmetic: str = "fp32"
    sampling: Sampling = field(default_factory=Sampling)
    segment_s: float = DEFAULT_SEGMENT_S
    batch: int = field(default_factory=default_batch)
    threads: int | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    silence_s: float = SILENCE_S
    place: Place = field(default_factory=Place)

    def __post_init__(self) -> None:
        if not self.floor <= self.gate:  # in this form it catches nan as well
            raise CascadeError(
                f"gate {self.gate} is below the floor {self.floor}; raise --gate or lower --floor"
            )
        if not self.floor <= self.cascade.operating_point.detector:
            raise CascadeError(
                f"floor {self.floor} is above the cascade's operating point "
                f"{self.cascade.operating_point.detector}; lower --floor"
            )
        made = {"fp16"} if self.backend in MAKES_FP16 else set()
        if not all(self.precision in {*stage.files, *made} for stage in self._stages()):
            raise CascadeError(f"the cascade {self.cascade.name} has no {self.precision} models")
        if self.imgsz % STRIDE:
            raise CascadeError(
                f"detector input size {self.imgsz} is not a multiple of {STRIDE}; give --imgsz "
                f"{self.imgsz // STRIDE * STRIDE + STRIDE}"
            )
        if (needed := self.tiling.bytes_per_frame(self.imgsz)) > MAX_VIEWS_BYTES:
            raise CascadeError(
                f"{self.tiling.n_views} views of {self.imgsz} pixels need {needed >> 20} MiB a "
                f"frame, more than {MAX_VIEWS_BYTES >> 20}; give fewer --tiles or a smaller --imgsz"
            )

    def _stages(self) -> list[DetectorSpec | ClassifierSpec]:
        second = None if self.detector_only else self.cascade.classifier
        return [self.cascade.detector, *([] if second is None else [second])]

    @property
    def frames_on(self) -> Place:
        """Where frames are scaled and cut, and why there."""
        if self.place.on_device and self.tiling != WHOLE:
            return Place(why="tiles are made by the decoding child")
        return self.place

    @property
    def views(self) -> bool:
        """Whether the decoding child makes what the detector sees."""
        return not self.frames_on.on_device

    @property
    def full(self) -> bool:
        """Whether frames are needed at full size too: for crops, for tiles, and on a device."""
        return bool(self.classes) or self.tiling != WHOLE or not self.views

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the probability vector; empty without a classifier."""
        if self.cascade.classifier is None or self.detector_only:
            return ()
        return self.cascade.classifier.classes

    def config_hash(self) -> str:
        """Hash of all that determines the log; a resumed scan must have the same one."""
        return config_hash(
            {
                "schema": SCHEMA_VERSION,
                "product": forensics.__version__,
                "cascade": summary_hash(self.cascade, self.precision),
                "backend": self.backend,
                "precision": self.precision,
                "arithmetic": self.arithmetic,
                "floor": self.floor,
                "gate": self.gate,
                "imgsz": self.imgsz,
                "tiling": asdict(self.tiling),
                "max_detections": self.max_detections,
                "detector_only": self.detector_only,
                "sampling": asdict(self.sampling),
                "segment_s": self.segment_s,
                "max_pixels": self.max_pixels,
                "libraries": self._libraries(),
                # Other pixels, in the last bits: no run is begun in one place and ended in another.
                **({} if self.views else {"frames_on": self.frames_on.where}),
            }
        )

    def _libraries(self) -> dict[str, str]:
        """Versions of what computes scores and writes parts: other ones may differ in a bit."""
        used = {
            name: version
            for name, version in library_versions().items()
            if name not in BACKENDS or name == self.backend
        }
        if self.backend in MAKES_FP16:  # its kernels are chosen for the GPU
            used[self.backend] = available_backends()[self.backend]
        if not self.views:
            used |= {name: _version(name) for name in ON_DEVICE}
        return used

    def thresholds(self) -> dict[str, float | None]:
        """The four thresholds, as run.json keeps them."""
        point = self.cascade.operating_point
        return {
            "floor": self.floor,
            "gate": self.gate,
            "detector": point.detector,
            "classifier": None if self.detector_only else point.classifier,
        }


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a scan runs on, as installed."""
    return {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def default_settings(
    cascade: str = "handgun",
    backend: str = "auto",
    arithmetic: str = "auto",
    precision: str = "auto",
) -> ScanSettings:
    """Settings of an evaluation scan, as the cascade says: the gate equals the floor.

    `arithmetic` and `precision` "auto" are the fastest here among those that the cascade was
    checked with; INT8 model files were checked in fp32 arithmetic only.
    Raises CascadeError or BackendError.
    """
    check_given(cascade)
    definition = load_cascade(cascade)
    name, why = resolve_backend(backend)
    files = _precision(definition, name, arithmetic, precision)
    if files != "fp32" and arithmetic not in {"auto", "fp32"}:
        raise CascadeError(
            f"{files} models are not checked with {arithmetic}; leave out --arithmetic or "
            "--precision"
        )
    wanted = arithmetic if files == "fp32" else "fp32"
    chosen = resolve_arithmetic(name, wanted, definition.arithmetic)
    how = "as asked" if precision != "auto" else f"checked: {', '.join(definition.precisions)}"
    return ScanSettings(
        cascade=definition,
        backend=name,
        backend_why=f"{why}, {files} models ({how}), computing in "
        f"{'fp16' if files == 'fp16' else chosen}",
        precision=files,
        arithmetic=chosen,
        floor=definition.detector.floor,
        gate=definition.detector.floor,
        imgsz=definition.detector.imgsz,
        max_detections=definition.detector.max_detections,
        place=place_for(name),
    )


def _precision(
    definition: CascadeDefinition, backend: str, arithmetic: str, precision: str
) -> str:
    if precision != "auto":
        return precision
    if arithmetic not in {"auto", "fp32"}:  # what was asked for works on the reference only
        return "fp32"
    return resolve_precision(backend, definition.precisions)


@dataclass(frozen=True)
class OpenCascade:
    """Both networks, ready, and what they are."""

    pipeline: Runs
    engines: tuple[Engine, ...]
    models: tuple[dict[str, Any], ...]


def open_cascade(settings: ScanSettings) -> OpenCascade:
    """Load, check and compile both networks. Raises CascadeError or BackendError."""
    spec = replace(
        settings.cascade.detector, imgsz=settings.imgsz, max_detections=settings.max_detections
    )
    reference = model_file(spec.files, settings.precision)
    engine = open_engine(
        settings.backend,
        reference.load(settings.precision, spec.imgsz),
        spec.normalisation,
        threads=settings.threads,
        arithmetic=settings.arithmetic,
    )
    detector = Detector(engine, spec, settings.floor)
    detector.infer(_nothing(spec.imgsz))  # a class count that does not fit shows here, not later
    engines, models = [engine], [_model("detector", reference.path, reference.sha256)]
    classifier = None
    second = settings.cascade.classifier
    if second is not None and not settings.detector_only:
        reference = model_file(second.files, settings.precision)
        other = open_engine(
            settings.backend,
            reference.load(settings.precision, second.imgsz),
            second.normalisation,
            threads=settings.threads,
            arithmetic=settings.arithmetic,
        )
        classifier = Classifier(other, second)
        classifier.probabilities(_nothing(second.imgsz))
        engines.append(other)
        models.append(_model("classifier", reference.path, reference.sha256))
    return OpenCascade(_pipeline(settings, detector, classifier), tuple(engines), tuple(models))


def _pipeline(settings: ScanSettings, detector: Detector, classifier: Classifier | None) -> Runs:
    """The one choice between the two ways of frames to the networks."""
    imgsz, gate = settings.imgsz, settings.gate
    if settings.views:
        return Pipeline(detector, classifier, imgsz=imgsz, gate=gate, tiling=settings.tiling)
    return DevicePipeline(
        detector, classifier, device=settings.frames_on.where, imgsz=imgsz, gate=gate
    )


def _nothing(imgsz: int) -> ImageArray:
    return np.zeros((0, imgsz, imgsz, 3), np.uint8)


def _model(stage: str, path: Path, sha256: str) -> dict[str, Any]:
    """A model as run.json has it; `verify` may be run in another folder, so its path is whole."""
    return {"stage": stage, "path": str(path.resolve()), "sha256": sha256}
