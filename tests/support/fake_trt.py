"""A FAKE TensorRT and a FAKE CUDA driver, for control flow that no machine can be asked for.

They say nothing about TensorRT: its real parser and builder are tested in test_trt_build.py, and
running engines is tested by the contract suite where there is a GPU.

A fake engine is JSON; running it writes the mean of each image into two output values.
"""

from __future__ import annotations

import ctypes
import json
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from forensics.backends.cuda import Device
from forensics.backends.trt_build import PROFILES
from forensics.backends.trt_library import Library
from forensics.errors import BackendError

GPU = Device("Fake GPU", "8.9", "13.0", 1 << 30)


class FakeLogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def log(self, severity: int, message: str) -> None: ...


class FakeMonitor:
    pass


class FakeMemory:
    def __init__(self, size: int) -> None:
        self.array = np.zeros(max(1, size), np.uint8)[:size]
        self.value = self.array.ctypes.data


class FakeCuda:
    """Memory of the host that stands for a GPU's; what is put on a stream happens at once."""

    def __init__(self, *, refuse_capture: bool = False, memory: int = 1 << 30) -> None:
        self.device = GPU
        self.refuse_capture = refuse_capture
        self.left = memory
        self.held: dict[int, FakeMemory] = {}
        self.calls: list[str] = []

    def use(self) -> None:
        self.calls.append("use")

    def memory_on_device(self, size: int) -> FakeMemory:
        self.left -= size
        if self.left < 0:
            raise BackendError("the GPU is out of memory; end other programs that use it")
        memory = FakeMemory(size)
        self.held[memory.value] = memory
        return memory

    memory_on_host = memory_on_device

    def stream(self) -> FakeMemory:
        return FakeMemory(0)

    event = stream

    def upload(self, target: FakeMemory, source: FakeMemory, stream: Any) -> None:
        target.array[:] = source.array
        self.calls.append("upload")

    def download(self, target: FakeMemory, source: FakeMemory, stream: Any) -> None:
        target.array[:] = source.array
        self.calls.append("download")

    def copy(self, target: Any, source: Any, size: int, stream: Any) -> None:
        ctypes.memmove(target.value, source.value, size)
        self.calls.append(f"copy on {stream.value}")

    def clear(self, target: Any, start: int, size: int, stream: Any) -> None:
        ctypes.memset(target.value + start, 0, size)
        self.calls.append(f"clear on {stream.value}")

    def wait(self, stream: Any, event: Any) -> None:
        self.calls.append("wait")

    def record(self, event: Any, stream: Any) -> None:
        self.calls.append("record")

    def finish(self, stream: Any) -> None:
        self.calls.append("finish")

    def capture(self, stream: Any, body: Callable[[], None]) -> Any:
        if self.refuse_capture:
            raise BackendError("the NVIDIA driver refused cuStreamEndCapture")
        body()
        return body

    def launch(self, graph: Callable[[], None], stream: Any) -> None:
        self.calls.append("launch")


class FakeTrt:
    """What of TensorRT's module the backend calls. `fails` names the call that fails."""

    __version__ = "10.16.1"
    float32 = "float32"
    ILogger = FakeLogger
    IProgressMonitor = FakeMonitor
    TensorIOMode = types.SimpleNamespace(INPUT=1, OUTPUT=2)
    BuilderFlag = types.SimpleNamespace(TF32=7)
    NetworkDefinitionCreationFlag = types.SimpleNamespace(STRONGLY_TYPED=1)

    def __init__(self, cuda: FakeCuda, fails: str = "", says: str = "it broke") -> None:
        self.cuda, self.fails, self.says = cuda, fails, says
        self.builds = self.runs = 0
        self.logger: Any = None
        self.timings: list[bytes] = []

    def does(self, name: str, value: Any = True) -> Any:
        """`value`, or what a real call gives that failed: None or False, and a line in the log."""
        if name != self.fails:
            return value
        self.logger.log(FakeLogger.ERROR, self.says)
        return False if value is True else None

    def Builder(self, logger: Any) -> Any:  # noqa: N802
        self.logger = logger
        return _FakeBuilder(self)

    def Runtime(self, logger: Any) -> Any:  # noqa: N802
        self.logger = logger
        return self.does("Runtime", _FakeRuntime(self))

    def OnnxParser(self, network: Any, logger: Any) -> Any:  # noqa: N802
        error = types.SimpleNamespace(desc=lambda: self.says)
        return types.SimpleNamespace(
            parse=lambda data: self.does("parse"), num_errors=1, get_error=lambda n: error
        )


class _FakeBuilder:
    def __init__(self, trt: FakeTrt) -> None:
        self.trt = trt

    def create_network(self, flags: int) -> Any:
        assert flags == 1 << 1
        return self.trt.does("create_network", types.SimpleNamespace(num_inputs=1, num_outputs=1))

    def create_builder_config(self) -> Any:
        return _FakeConfig(self.trt)

    def create_optimization_profile(self) -> Any:
        return types.SimpleNamespace(set_shape=lambda *shape: None)

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        self.trt.builds += 1
        monitor = config.progress_monitor
        monitor.phase_start("Building", None, 2)
        for step in range(2):
            if not monitor.step_complete("Building", step):
                return None
        monitor.phase_finish("Building")
        plan: bytes | None = self.trt.does("build_serialized_network", b'{"plan": 1}')
        return plan


class _FakeConfig:
    def __init__(self, trt: FakeTrt) -> None:
        self.trt, self.profiles = trt, 0
        self.progress_monitor: Any = None

    def clear_flag(self, flag: int) -> None:
        assert flag == FakeTrt.BuilderFlag.TF32

    def add_optimization_profile(self, profile: Any) -> int:
        self.profiles += 1
        return self.profiles - 1

    def create_timing_cache(self, data: bytes) -> Any:
        self.trt.timings.append(data)
        return types.SimpleNamespace(serialize=lambda: b"timings", data=data)

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        return not (cache.data and self.trt.fails == "set_timing_cache")


class _FakeRuntime:
    def __init__(self, trt: FakeTrt) -> None:
        self.trt = trt

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        assert json.loads(plan) == {"plan": 1}
        return self.trt.does("deserialize_cuda_engine", _FakeEngine(self.trt))


class _FakeEngine:
    num_io_tensors = 2

    def __init__(self, trt: FakeTrt) -> None:
        self.trt = trt

    def get_tensor_name(self, number: int) -> str:
        return ("pixels", "scores")[number]

    def get_tensor_mode(self, name: str) -> int:
        return 1 if name == "pixels" else 2

    def get_tensor_dtype(self, name: str) -> str:
        return "float32"

    def create_execution_context(self) -> Any:
        return self.trt.does("create_execution_context", _FakeContext(self.trt))


class _FakeContext:
    def __init__(self, trt: FakeTrt) -> None:
        self.trt = trt
        self.shape: tuple[int, ...] = ()
        self.addresses: dict[str, int] = {}
        self.profile = -1

    def set_optimization_profile_async(self, profile: int, stream: int) -> Any:
        self.profile = profile
        return self.trt.does("set_optimization_profile_async")

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> Any:
        assert shape[0] == PROFILES[self.profile]
        self.shape = shape
        return self.trt.does("set_input_shape")

    def get_tensor_shape(self, name: str) -> tuple[int, int]:
        return (self.shape[0], 2)

    def set_tensor_address(self, name: str, address: int) -> Any:
        self.addresses[name] = address
        return self.trt.does("set_tensor_address")

    def execute_async_v3(self, stream: int) -> Any:
        self.trt.runs += 1
        held = self.trt.cuda.held
        images = held[self.addresses["pixels"]].array.reshape(self.shape)
        means = images.reshape(len(images), -1).mean(axis=1).astype(np.float32)
        held[self.addresses["scores"]].array.view(np.float32)[:] = np.repeat(means, 2)
        return self.trt.does("execute_async_v3")


def fake_library(trt: FakeTrt, flavour: str = "tensorrt") -> Library:
    return Library(trt, flavour, trt.__version__)
