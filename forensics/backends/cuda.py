"""The few calls of the CUDA driver that an engine needs: memory, streams, events, graphs.

They go straight to `libcuda.so.1`, which comes with every driver: no package to install, and
nothing that must fit the CUDA version TensorRT was built for. TensorRT uses the primary context
of the device, and so do we.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from ctypes import (
    POINTER,
    byref,
    c_char_p,
    c_float,
    c_int,
    c_size_t,
    c_ubyte,
    c_uint,
    c_void_p,
)
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from forensics.errors import BackendError
from forensics.types import ImageArray

LIBRARY = "libcuda.so.1"
OUT_OF_MEMORY = 2
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...
NON_BLOCKING = 1  # the stream does not wait for the default stream
THREAD_LOCAL = 1  # capturing does not forbid other threads what they do
POINTER_TO = POINTER(c_void_p)
_u64 = ctypes.c_uint64  # CUdeviceptr

# Names as exported by the library; those with _v2 are what the header's plain names stand for.
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (POINTER_TO, c_int),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemGetInfo_v2": (POINTER(c_size_t), POINTER(c_size_t)),
    "cuMemAlloc_v2": (POINTER(_u64), c_size_t),
    "cuMemFree_v2": (_u64,),
    "cuMemHostAlloc": (POINTER_TO, c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (_u64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, _u64, c_size_t, c_void_p),
    "cuMemcpyDtoDAsync_v2": (_u64, _u64, c_size_t, c_void_p),
    "cuMemsetD8Async": (_u64, c_ubyte, c_size_t, c_void_p),
    "cuStreamCreate": (POINTER_TO, c_uint),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamWaitEvent": (c_void_p, c_void_p, c_uint),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER_TO),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuGraphInstantiateWithFlags": (POINTER_TO, c_void_p, ctypes.c_ulonglong),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphDestroy": (c_void_p,),
    "cuGraphExecDestroy": (c_void_p,),
    "cuEventCreate": (POINTER_TO, c_uint),
    "cuEventRecord": (c_void_p, c_void_p),
    "cuEventElapsedTime": (POINTER(c_float), c_void_p, c_void_p),
    "cuEventDestroy_v2": (c_void_p,),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
}


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU. `compute` is its compute capability, such as "9.0"; `driver` the CUDA version of
    the driver; `memory_bytes` all of its memory."""

    name: str
    compute: str
    driver: str
    memory_bytes: int


class Handle:
    """Something of the driver's, given back when nothing refers to it any more."""

    def __init__(self, value: int, give_back: Callable[[int], object]) -> None:
        self.value = value
        ending = weakref.finalize(self, give_back, value)
        ending.atexit = False  # the process's end gives everything back


class Borrowed(Handle):
    """What another library gives back: a stream of PyTorch's, an address in its memory."""

    def __init__(self, value: int) -> None:
        self.value = value


class Pinned(Handle):
    """Page-locked memory of the host: `array` uint8 (bytes,)."""

    def __init__(self, value: int, size: int, give_back: Callable[[int], object]) -> None:
        super().__init__(value, give_back)
        self.array: ImageArray = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(value))


@cache
def open_device() -> Cuda:
    """The first GPU. Raises BackendError: no driver, no GPU, or one that cannot be used."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise BackendError(f"there is no NVIDIA driver ({LIBRARY} is not installed)") from error
    return Cuda(library)


class Cuda:
    """The driver, and the primary context of its first GPU (CUDA_VISIBLE_DEVICES chooses)."""

    def __init__(self, library: Any) -> None:
        self._library = library
        for name, kinds in SIGNATURES.items():
            try:
                getattr(library, name).argtypes = kinds
            except AttributeError as error:
                raise BackendError(f"the NVIDIA driver is too old: it has no {name}") from error
        self._call("cuInit", 0)
        count = c_int()
        self._call("cuDeviceGetCount", byref(count))
        if count.value < 1:
            raise BackendError("the NVIDIA driver sees no GPU")
        number, self._context = c_int(), c_void_p()
        self._call("cuDeviceGet", byref(number), 0)
        self._call("cuDevicePrimaryCtxRetain", byref(self._context), number)
        self.use()
        self.device = self._describe(number)

    def use(self) -> None:
        """Must be called in each thread before anything else."""
        self._call("cuCtxSetCurrent", self._context)

    def memory(self) -> tuple[int, int]:
        """Free and total bytes."""
        free, total = c_size_t(), c_size_t()
        self._call("cuMemGetInfo_v2", byref(free), byref(total))
        return free.value, total.value

    def memory_on_device(self, size: int) -> Handle:
        address = _u64()
        self._call("cuMemAlloc_v2", byref(address), max(1, size))
        return Handle(address.value, self._library.cuMemFree_v2)

    def memory_on_host(self, size: int) -> Pinned:
        address = c_void_p()
        self._call("cuMemHostAlloc", byref(address), size, 0)
        return Pinned(int(address.value or 0), size, self._library.cuMemFreeHost)

    def upload(self, target: Handle, source: Pinned, stream: Handle) -> None:
        """Start copying all of `source` to the device; it must stay as it is until done."""
        size = source.array.nbytes
        self._call("cuMemcpyHtoDAsync_v2", target.value, source.value, size, stream.value)

    def download(self, target: Pinned, source: Handle, stream: Handle) -> None:
        """Start filling `target` from the device."""
        size = target.array.nbytes
        self._call("cuMemcpyDtoHAsync_v2", target.value, source.value, size, stream.value)

    def copy(self, target: Handle, source: Handle, size: int, stream: Handle) -> None:
        """Start copying `size` bytes from the device to the device."""
        self._call("cuMemcpyDtoDAsync_v2", target.value, source.value, size, stream.value)

    def clear(self, target: Handle, start: int, size: int, stream: Handle) -> None:
        """Start writing zeroes to `size` bytes of the device from `target` + `start` on."""
        self._call("cuMemsetD8Async", target.value + start, 0, size, stream.value)

    def stream(self) -> Handle:
        return self._new("cuStreamCreate", "cuStreamDestroy_v2", NON_BLOCKING)

    def event(self) -> Handle:
        return self._new("cuEventCreate", "cuEventDestroy_v2", 0)

    def record(self, event: Handle, stream: Handle) -> None:
        self._call("cuEventRecord", event.value, stream.value)

    def wait(self, stream: Handle, event: Handle) -> None:
        """What is put on `stream` from now on starts after `event`; never recorded = at once."""
        self._call("cuStreamWaitEvent", stream.value, event.value, 0)

    def finish(self, stream: Handle) -> None:
        """Wait until all that was put on `stream` is done; its errors show here."""
        self._call("cuStreamSynchronize", stream.value)

    def elapsed_s(self, start: Handle, end: Handle) -> float:
        """Seconds between two recorded events of which the second is past."""
        milliseconds = c_float()
        self._call("cuEventElapsedTime", byref(milliseconds), start.value, end.value)
        return milliseconds.value / 1000

    def capture(self, stream: Handle, body: Callable[[], None]) -> Handle:
        """What `body` puts on `stream`, as a graph that can be launched. Raises BackendError."""
        graph, ready = c_void_p(), c_void_p()
        self._call("cuStreamBeginCapture_v2", stream.value, THREAD_LOCAL)
        try:
            body()
        finally:  # also after an error: a stream that goes on capturing is lost
            ended = self._library.cuStreamEndCapture(stream.value, byref(graph))
        self._check(ended, "cuStreamEndCapture")
        try:
            self._call("cuGraphInstantiateWithFlags", byref(ready), graph, 0)
        finally:
            self._library.cuGraphDestroy(graph)
        return Handle(int(ready.value or 0), self._library.cuGraphExecDestroy)

    def launch(self, graph: Handle, stream: Handle) -> None:
        self._call("cuGraphLaunch", graph.value, stream.value)

    def _new(self, create: str, destroy: str, flags: int) -> Handle:
        handle = c_void_p()
        self._call(create, byref(handle), flags)
        return Handle(int(handle.value or 0), getattr(self._library, destroy))

    def _describe(self, number: c_int) -> Device:
        name = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", name, len(name), number)
        parts = []
        for attribute in (MAJOR, MINOR):
            value = c_int()
            self._call("cuDeviceGetAttribute", byref(value), attribute, number)
            parts.append(str(value.value))
        version = c_int()
        self._call("cuDriverGetVersion", byref(version))
        driver = f"{version.value // 1000}.{version.value % 1000 // 10}"
        return Device(name.value.decode(), ".".join(parts), driver, self.memory()[1])

    def _call(self, name: str, *arguments: Any) -> None:
        self._check(getattr(self._library, name)(*arguments), name)

    def _check(self, code: int, name: str) -> None:
        if code == OUT_OF_MEMORY:
            raise BackendError(
                "the GPU is out of memory; end other programs that use it, or give a smaller "
                "--imgsz"
            )
        if code:
            text = c_char_p()
            self._library.cuGetErrorName(code, byref(text))
            known = (text.value or b"unknown error").decode()
            raise BackendError(f"the NVIDIA driver refused {name}: {known} ({code})")
