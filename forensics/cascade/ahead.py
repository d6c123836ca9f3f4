"""Build the TensorRT engines of a cascade before a scan needs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forensics.backends import Model, trt
from forensics.backends.engine_cache import EngineCache
from forensics.backends.trt_build import engine_key
from forensics.cascade.definition import (
    CascadeDefinition,
    ClassifierSpec,
    DetectorSpec,
    model_file,
)
from forensics.errors import CascadeError


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """An engine file, its SHA-256 and size, and for what it was built."""

    stage: str
    precision: str
    target: str
    path: Path
    sha256: str
    size_bytes: int


def build_engines(
    cascade: CascadeDefinition,
    folder: Path,
    *,
    precision: str,
    imgsz: int | None = None,
    compute: str | None = None,
) -> list[BuiltEngine]:
    """Engines of both networks in `folder`; those that are there already are kept.

    `precision` "auto" is the fastest that the cascade was checked with; `compute` names the
    compute capability of another GPU ("8.9"), which only TensorRT-RTX can build for. Raises
    BackendError or CascadeError.
    """
    library, target = trt.building_target(compute)
    if precision == "auto":
        precision = next(name for name in trt.precisions() if name in cascade.precisions)
    specs: list[tuple[str, DetectorSpec | ClassifierSpec, int]] = [
        ("detector", cascade.detector, imgsz or cascade.detector.imgsz)
    ]
    if cascade.classifier is not None:
        specs.append(("classifier", cascade.classifier, cascade.classifier.imgsz))
    cache = EngineCache(folder)
    built = []
    for stage, spec, size in specs:
        if precision not in {*spec.files, "fp16"}:
            raise CascadeError(f"the cascade {cascade.name} has no {precision} models")
        model: Model = model_file(spec.files, precision).load(precision, size)
        key = engine_key(model, spec.normalisation, library, target)
        plan, sha256 = trt.ready_plan(model, spec.normalisation, library, key, cache)
        named = f"{library.title}, {target.gpu or 'any GPU'} of compute capability {target.compute}"
        path = cache.plan_path(key)
        built.append(BuiltEngine(stage, precision, named, path, sha256, len(plan)))
    return built
