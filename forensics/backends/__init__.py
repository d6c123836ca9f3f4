"""Inference engines, one runtime in each module, opened by name."""

from forensics.backends.base import (
    BACKENDS,
    BUILDING,
    MAKES_FP16,
    Engine,
    Model,
    Normalisation,
    Provenance,
    available_backends,
    available_cores,
    infer_above,
    is_resizable,
    open_engine,
    parallel_calls,
    resolve_arithmetic,
    resolve_backend,
    resolve_precision,
)

__all__ = [
    "BACKENDS",
    "BUILDING",
    "MAKES_FP16",
    "Engine",
    "Model",
    "Normalisation",
    "Provenance",
    "available_backends",
    "available_cores",
    "infer_above",
    "is_resizable",
    "open_engine",
    "parallel_calls",
    "resolve_arithmetic",
    "resolve_backend",
    "resolve_precision",
]
