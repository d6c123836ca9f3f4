"""TensorRT as installed: enterprise 10 or 11 (`tensorrt`), else TensorRT-RTX (`tensorrt_rtx`).

Calls go by attributes that all three have (held to by tests/backends/test_trt_api.py). None of
them raises when a call fails: it logs and returns None or False, so both are asked for here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from forensics.backends.cuda import Device
from forensics.errors import BackendError

ENTERPRISE, RTX = "tensorrt", "tensorrt_rtx"
MAJORS = ("10", "11")
INSTALL = "install forensics[gpu] for TensorRT-RTX, or NVIDIA's tensorrt 10 or 11"
KEPT_MESSAGES = 50


@dataclass(frozen=True)
class Library:
    """One TensorRT: `trt` is its module, `flavour` the name of it."""

    trt: Any
    flavour: str
    version: str

    @property
    def title(self) -> str:
        """Name and version for people."""
        return f"TensorRT{'-RTX' if self.flavour == RTX else ''} {self.version}"

    def check_device(self, device: Device) -> None:
        """Raise BackendError where this TensorRT does not run on `device`."""
        if self.flavour == RTX and self.capability(device.compute) is None:
            raise BackendError(
                f"{self.title} does not run on {device.name} (compute capability "
                f"{device.compute}, it knows {', '.join(self.capabilities())}): install NVIDIA's "
                "tensorrt 10 or 11"
            )

    def capabilities(self) -> list[str]:
        """Compute capabilities for which TensorRT-RTX builds without such a GPU."""
        members = [name for name in dir(self.trt.ComputeCapability) if name.startswith("SM")]
        return sorted((f"{name[2:-1]}.{name[-1]}" for name in members), key=float)

    def capability(self, compute: str) -> Any:
        """The member of ComputeCapability for "8.9" and the like, or None."""
        return getattr(self.trt.ComputeCapability, f"SM{compute.replace('.', '')}", None)


@cache
def open_library(*flavours: str) -> Library:
    """The TensorRT installed here, of `flavours` (default: any). Raises BackendError.

    Ask for a GPU first (see `cuda`): without one only TensorRT-RTX is safe to use.
    """
    problems = []
    for flavour in flavours or (ENTERPRISE, RTX):
        try:
            trt = importlib.import_module(flavour)
            version = str(trt.__version__)
        except ModuleNotFoundError as error:
            if error.name != flavour:  # it is there, but something that it needs is not
                problems.append(f"{flavour} cannot be loaded ({error})")
        except Exception as error:  # a library that fits neither driver nor system
            problems.append(f"{flavour} cannot be loaded ({error})")
        else:
            if flavour == RTX or version.partition(".")[0] in MAJORS:
                return Library(trt, flavour, version)
            problems.append(f"TensorRT {version} is installed, but 10 or 11 is needed")
    title = "TensorRT-RTX" if flavours == (RTX,) else "TensorRT"
    why = "; ".join(problems) or f"{title} is not installed"
    raise BackendError(f"{why}; {INSTALL}")


class Messages:
    """What TensorRT logged: warnings and errors, the last ones."""

    def __init__(self, trt: Any) -> None:
        self.kept: list[str] = []
        self._errors: list[str] = []
        self.logger = _logger(trt, self._take)

    def _take(self, is_error: bool, text: str) -> None:
        for kept in (self.kept, *([self._errors] if is_error else [])):
            kept.append(" ".join(text.split()))
            del kept[:-KEPT_MESSAGES]

    def ok(self, value: Any, what: str) -> Any:
        """`value`, unless it is None or False. Raises BackendError with the reason as logged."""
        if value is None or value is False:
            reason = self._errors[0] if self._errors else "it gave no reason"
            if any("memory" in text.lower() for text in self._errors):
                reason = f"out of GPU memory ({reason}); end other programs that use the GPU"
            self._errors.clear()
            raise BackendError(f"TensorRT {what}: {reason[:400]}")
        return value


def _logger(trt: Any, take: Callable[[bool, str], None]) -> Any:
    base: Any = trt.ILogger

    class Logger(base):  # type: ignore[misc]  # its base is known only when it is loaded
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (base.INTERNAL_ERROR, base.ERROR, base.WARNING):
                take(severity != base.WARNING, message)

    return Logger()
