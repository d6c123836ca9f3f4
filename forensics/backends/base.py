"""The engine protocol and the table of backends.

To add a backend: write one module with `open_engine(model, normalisation, threads, arithmetic)
-> Engine`, `arithmetics()` and `precisions()` (fastest first; "fp32" is always among them) and
`version()`, and add a line to `BACKENDS`: the contract suite in tests/backends then runs over it.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from forensics.boxes import STRIDE
from forensics.errors import BackendError
from forensics.types import FloatArray, ImageArray

# Best first: `auto` takes the first that works here.
BACKENDS = {
    "tensorrt": "forensics.backends.trt",
    "openvino": "forensics.backends.ov",
    "onnxruntime": "forensics.backends.ort",
}
# Engines that make FP16 networks from FP32 files, where a cascade has no FP16 files.
MAKES_FP16 = frozenset({"tensorrt"})
# Told what is being built and how much of it is done, of 1, where opening an engine takes minutes.
BUILDING: ContextVar[Callable[[str, float], None]] = ContextVar(
    "BUILDING", default=lambda _name, _done: None
)
# The protobuf bytes of an external-data entry, key = "location", also with its tag or length
# written longer than needed. A model that names other files could make the runtime read anything
# that we can.
EXTERNAL_DATA = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Model input = (pixel / 255 - mean) / std, for each of R, G, B."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Model:
    """The bytes of an ONNX file, hashed as read: what was hashed is what runs."""

    name: str
    data: bytes
    sha256: str
    precision: str
    imgsz: int

    @classmethod
    def read(cls, path: Path, *, precision: str, imgsz: int) -> Model:
        """Read an ONNX file. Raises BackendError when it is missing or not self-contained."""
        if path.suffix != ".onnx":
            raise BackendError(f"{path.name} is not an .onnx file; convert it with `export` first")
        try:
            data = path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a null byte in its name
            reason = getattr(error, "strerror", error)
            raise BackendError(f"cannot read model {path}: {reason}") from error
        if EXTERNAL_DATA.search(data):
            raise BackendError(f"{path.name} keeps weights in other files; store it as one file")
        return cls(path.name, data, hashlib.sha256(data).hexdigest(), precision, imgsz)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What ran: recorded in run.json."""

    backend: str
    version: str
    device: str
    precision: str
    arithmetic: str
    threads: int
    model: str
    model_sha256: str
    engine_sha256: str | None = None  # of what was compiled from the model and kept, if anything


class Engine(Protocol):
    """A network ready to run.

    `infer` takes uint8 RGB (n, imgsz, imgsz, 3), any n >= 0, and returns the first output as
    float32 (n, ...), a new array. Each image's result is independent of the others in the batch,
    to the bit, so that logs do not depend on how frames were grouped. Not thread-safe, unless the
    engine has a number `parallel_calls` above 1: so many calls may then run at once. An engine
    that is `resizable` also takes other heights and widths, multiples of the network's stride. One
    with `infer_above` need not compute all boxes: see the function of that name. Raises
    BackendError.
    """

    provenance: Provenance

    def infer(self, images: ImageArray) -> FloatArray: ...


def available_backends() -> dict[str, str]:
    """Each backend's version, or "not available: why"."""
    return {name: _version(name) for name in BACKENDS}


def resolve_backend(name: str) -> tuple[str, str]:
    """Turn a --backend value into (backend, why). A named backend never falls back.

    Raises BackendError when it, or for "auto" every one, is missing.
    """
    if name != "auto":
        if name not in BACKENDS:
            known = ", ".join(BACKENDS)
            raise BackendError(f"unknown backend {name!r}; choose one of auto, {known}")
        found = _version(name)
        if found.startswith("not available"):
            raise BackendError(f"backend {name} is {found}")
        return name, f"{name} {found}, as asked"
    passed_over: list[str] = []
    for candidate in BACKENDS:
        found = _version(candidate)
        if not found.startswith("not available"):
            why = "; ".join([*passed_over, f"{candidate} {found} is the fastest one here"])
            return candidate, why
        passed_over.append(f"{candidate} {found}")
    raise BackendError(f"no backend works: {'; '.join(passed_over)}")


def resolve_arithmetic(backend: str, wanted: str, checked: Sequence[str]) -> str:
    """Turn an --arithmetic value into one that `backend` has on this machine.

    "auto" is its fastest among `checked`, those for which the cascade's decisions were compared.
    Raises BackendError when the named one is not to be had.
    """
    module: Any = importlib.import_module(BACKENDS[backend])
    here: tuple[str, ...] = module.arithmetics()
    if wanted == "auto":
        return next(name for name in here if name in checked)
    if wanted not in here:
        raise BackendError(
            f"{backend} has no {wanted} arithmetic on this machine; choose {' or '.join(here)}"
        )
    return wanted


def resolve_precision(backend: str, checked: Sequence[str]) -> str:
    """Which of the precisions that a cascade was `checked` in this backend runs fastest."""
    module: Any = importlib.import_module(BACKENDS[backend])
    here: tuple[str, ...] = module.precisions()
    return next(name for name in here if name in checked)


def open_engine(
    name: str,
    model: Model,
    normalisation: Normalisation,
    *,
    threads: int | None = None,
    arithmetic: str = "fp32",
) -> Engine:
    """Open `model` on the backend `name` with `threads` CPU threads (default: all cores).

    `arithmetic` is what it computes in, whatever its weights are kept in. Raises BackendError.
    """
    resolve_arithmetic(name, arithmetic, ())
    module: Any = importlib.import_module(BACKENDS[name])
    n_threads = threads or available_cores()
    engine: Engine = module.open_engine(model, normalisation, n_threads, arithmetic)
    return engine


def parallel_calls(engine: Engine) -> int:
    """How many calls of `infer` may run at once."""
    return int(getattr(engine, "parallel_calls", 1))


def is_resizable(engine: Engine) -> bool:
    """Whether `infer` takes pictures that are not `imgsz` square."""
    return bool(getattr(engine, "resizable", False))


def infer_above(engine: Engine, images: ImageArray, floor: float) -> FloatArray:
    """As `engine.infer`, of a detector: float32 (n, 4 + classes, anchors).

    Boxes of anchors that no class scores at least `floor` may be 0, where that saves work.
    """
    saving = getattr(engine, "infer_above", None)
    result: FloatArray = saving(images, floor) if saving else engine.infer(images)
    return result


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_images(images: ImageArray, imgsz: int, *, resizable: bool = False) -> None:
    """Raise BackendError unless `images` is uint8 (n, imgsz, imgsz, 3), or of other sides."""
    sides = images.shape[1:3]
    fits = sides == (imgsz, imgsz) or (resizable and not any(side % STRIDE for side in sides))
    if images.dtype != "uint8" or images.ndim != 4 or images.shape[3] != 3 or not fits:
        wanted = f"{imgsz}, {imgsz}" + (f" or multiples of {STRIDE}" if resizable else "")
        got = f"{images.dtype} {images.shape}"
        raise BackendError(f"engine takes uint8 (n, {wanted}, 3), got {got}")


def _version(name: str) -> str:
    try:
        module: Any = importlib.import_module(BACKENDS[name])
        return str(module.version())
    except Exception as error:  # a broken driver may raise anything at import
        return f"not available: {error}"
