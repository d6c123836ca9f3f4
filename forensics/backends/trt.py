"""TensorRT 10, 11 and TensorRT-RTX on an NVIDIA GPU.

Every run of an engine has the same batch, `BATCH`, the tail padded: the kernels of another batch
may sum in another order, and results must not depend on how images were grouped. Two slots of
page-locked memory take turns, so that copies overlap with computing; each launches its run as a
CUDA graph where the driver records one.
"""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np

from forensics.backends.base import Model, Normalisation, Provenance, check_images
from forensics.backends.cuda import Borrowed, Cuda, Handle, open_device
from forensics.backends.engine_cache import PIXELS, EngineCache, EngineKey, engine_folder
from forensics.backends.trt_build import PROFILES, Target, build, engine_key
from forensics.backends.trt_library import RTX, Library, Messages, open_library
from forensics.errors import BackendError
from forensics.types import FloatArray, ImageArray

BATCH = 8
SLOTS = 2


def version() -> str:
    """TensorRT and the GPU. Raises BackendError where they do not work together."""
    device = open_device().device  # before TensorRT, which may crash where there is none
    library = open_library()
    library.check_device(device)
    if importlib.util.find_spec("onnx") is None:
        raise BackendError("the onnx package is missing; install forensics[gpu]")
    return f"{library.title} on {device.name}, driver for CUDA {device.driver}"


def arithmetics() -> tuple[str, ...]:
    """What is asked for; networks are strongly typed, so their files have the last word."""
    return ("fp32",)


def precisions() -> tuple[str, ...]:
    """Kinds of model files, fastest first: around its convolutions an INT8 file is float32."""
    return ("fp16", "int8", "fp32")


def open_engine(
    model: Model,
    normalisation: Normalisation,
    threads: int,
    arithmetic: str,
    *,
    batch: int = BATCH,
    graphs: bool = True,
) -> TensorRtEngine:
    """Open `model`, building its engine first if this machine has none yet.

    `batch`: images in a run, one of `PROFILES`; `graphs`: whether to record CUDA graphs.
    """
    cuda, library = open_device(), open_library()
    library.check_device(cuda.device)
    cuda.use()
    cache = EngineCache(engine_folder())
    key = engine_key(model, normalisation, library, Target.of(cuda.device, library))
    plan, sha256 = ready_plan(model, normalisation, library, key, cache)
    loaded = Loaded(library, cuda, plan, PROFILES.index(batch), cache, key)
    return TensorRtEngine(model, loaded, sha256, threads, graphs=graphs)


def building_target(compute: str | None) -> tuple[Library, Target]:
    """The TensorRT here and what it builds for: the GPU here, or any of compute capability
    `compute`, which needs no GPU but TensorRT-RTX. Raises BackendError."""
    if compute is None:
        device = open_device().device
        library = open_library()
        library.check_device(device)
        return library, Target.of(device, library)
    library = open_library(RTX)
    if library.capability(compute) is None:
        raise BackendError(
            f"{library.title} builds for compute capability {', '.join(library.capabilities())}, "
            f"not for {compute}; build on the machine with that GPU"
        )
    return library, Target(compute, "")


def ready_plan(
    model: Model, normalisation: Normalisation, library: Library, key: EngineKey, cache: EngineCache
) -> tuple[bytes, str]:
    """The engine of `key` and its SHA-256, from the cache or built now and kept there."""
    found = cache.load(key)
    if found is not None:
        return found
    with cache.locked():
        found = cache.load(key)  # another process may have built it meanwhile
        if found is not None:
            return found
        plan = build(model, normalisation, library, Target(key.compute, key.gpu), cache)
        return plan, cache.save(key, plan)


class Loaded:
    """An engine in the GPU's memory, with one execution context on one profile.

    `input_shape` and `output_shape` are those of a run. Raises BackendError.
    """

    def __init__(
        self,
        library: Library,
        cuda: Cuda,
        plan: bytes,
        profile: int,
        cache: EngineCache,
        key: EngineKey,
    ) -> None:
        trt = library.trt
        self.library, self.cuda, self._cache = library, cuda, cache
        self.messages = Messages(trt)
        check = self.messages.ok
        self._runtime = check(trt.Runtime(self.messages.logger), "makes no runtime")
        self.engine = check(
            self._runtime.deserialize_cuda_engine(plan), "cannot load the engine that it built"
        )
        names = [self.engine.get_tensor_name(n) for n in range(self.engine.num_io_tensors)]
        mode = trt.TensorIOMode.OUTPUT
        outputs = [name for name in names if self.engine.get_tensor_mode(name) == mode]
        if PIXELS not in names or len(outputs) != 1:
            raise BackendError(f"the engine has tensors {', '.join(names)}, not one in and one out")
        self._output = outputs[0]
        self._learnt = f"{key.name}-{cuda.device.name.replace(' ', '-')}.runtime"
        self._runtime_cache: Any = None
        self.context = check(self._new_context(), "makes no execution context")
        self.stream = cuda.stream()
        chosen = self.context.set_optimization_profile_async(profile, self.stream.value)
        check(chosen, "refuses the batch")
        cuda.finish(self.stream)
        self.input_shape = (PROFILES[profile], key.imgsz, key.imgsz, 3)
        check(self.context.set_input_shape(PIXELS, self.input_shape), "refuses the input's size")
        self.output_shape = tuple(int(n) for n in self.context.get_tensor_shape(self._output))
        if min(self.output_shape) < 1 or self.output_shape[0] != PROFILES[profile]:
            raise BackendError(f"the engine's output has shape {self.output_shape}")
        if self.engine.get_tensor_dtype(self._output) != trt.float32:
            raise BackendError("the engine's output is not float32")

    def enqueue(self, source: Handle, target: Handle, stream: Handle) -> None:
        """Put a run on `stream`, from and to device memory."""
        check, context = self.messages.ok, self.context
        taken = context.set_tensor_address(PIXELS, source.value)
        check(taken, "refuses the input's address")
        taken = context.set_tensor_address(self._output, target.value)
        check(taken, "refuses the output's address")
        check(context.execute_async_v3(stream.value), "failed to run")

    def capturable(self, stream: Handle) -> bool:
        """Whether a run may be recorded as a graph; only TensorRT-RTX says no beforehand."""
        asked = getattr(self.context, "is_stream_capturable", None)
        return asked is None or bool(asked(stream.value))

    def keep_learnt(self) -> None:
        """Keep what TensorRT-RTX compiled for this GPU, so that the next start is quick."""
        if self._runtime_cache is not None:
            data = self._runtime_cache.serialize()
            if data is not None and bytes(data) != self._cache.read(self._learnt):
                self._cache.write(self._learnt, bytes(data))

    def _new_context(self) -> Any:
        if self.library.flavour != RTX:
            return self.engine.create_execution_context()
        config = self.messages.ok(self.engine.create_runtime_config(), "makes no configuration")
        # Else it starts with general kernels and exchanges them while we work: other last bits.
        strategies = self.library.trt.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        self._runtime_cache = self.messages.ok(config.create_runtime_cache(), "makes no cache")
        known = self._cache.read(self._learnt)
        if known:
            self._runtime_cache.deserialize(known)  # refused = compiled again
        self.messages.ok(config.set_runtime_cache(self._runtime_cache), "refuses a cache")
        return self.engine.create_execution_context(config)


class Slot:
    """Memory for one run on its way: in, on the device, out."""

    def __init__(self, loaded: Loaded) -> None:
        cuda = loaded.cuda
        self._loaded, self._cuda = loaded, cuda
        self.stream = cuda.stream()
        self.done = cuda.event()
        size_in, size_out = math.prod(loaded.input_shape), 4 * math.prod(loaded.output_shape)
        self._host_in, self._host_out = cuda.memory_on_host(size_in), cuda.memory_on_host(size_out)
        self._in, self._out = cuda.memory_on_device(size_in), cuda.memory_on_device(size_out)
        self._images = self._host_in.array.reshape(loaded.input_shape)
        self._result = self._host_out.array.view(np.float32).reshape(loaded.output_shape)
        self._graph: Handle | None = None
        self._target: FloatArray | None = None

    def warm_up(self, *, graph: bool) -> str:
        """Run once, then record the run; returns why not, or nothing.

        The first run loads kernels, which a recording must not.
        """
        self._images[:] = 0
        self._cuda.upload(self._in, self._host_in, self.stream)
        self.run(self.stream)
        self._cuda.finish(self.stream)
        if not graph:
            return "switched off"
        if not self._loaded.capturable(self.stream):
            return "TensorRT says that it cannot be recorded"
        try:
            self._graph = self._cuda.capture(self.stream, lambda: self.run(self.stream))
        except BackendError as error:
            return str(error)
        return ""

    def run(self, stream: Handle) -> None:
        """Put a run on a stream, without copies."""
        if self._graph is not None:
            self._cuda.launch(self._graph, stream)
        else:
            self._loaded.enqueue(self._in, self._out, stream)

    def run_on_device(
        self, source: Handle, target: Handle, n: int, stream: Handle, after: Slot
    ) -> None:
        """Put a run of `n` images that lie on the device on `stream`, after all other runs.

        A graph has its addresses for good, so images are copied to them; that is quickly done.
        """
        size_in, size_out = (
            math.prod(shape[1:]) for shape in (self._loaded.input_shape, self._loaded.output_shape)
        )
        for slot in (self, after):
            self._cuda.wait(stream, slot.done)
        self._cuda.copy(self._in, source, n * size_in, stream)
        if left := self._loaded.input_shape[0] - n:
            self._cuda.clear(self._in, n * size_in, left * size_in, stream)
        self.run(stream)
        self._cuda.copy(target, self._out, n * size_out * 4, stream)
        self._cuda.record(self.done, stream)

    def start(self, images: ImageArray, target: FloatArray, after: Slot) -> None:
        """Begin a run of at most one batch, its results to be collected into `target`.

        It computes after `after` does: both share the memory between the layers.
        """
        self._images[: len(images)] = images
        self._images[len(images) :] = 0
        self._cuda.wait(self.stream, self.done)  # a run of images on the device, elsewhere
        self._cuda.upload(self._in, self._host_in, self.stream)
        self._cuda.wait(self.stream, after.done)
        self.run(self.stream)
        self._cuda.record(self.done, self.stream)
        self._cuda.download(self._host_out, self._out, self.stream)
        self._target = target

    def collect(self) -> None:
        """Wait for the run that was begun, if any, and hand over its results."""
        if self._target is not None:
            self._cuda.finish(self.stream)
            self._target[:] = self._result[: len(self._target)]
            self._target = None


class TensorRtEngine:
    """See `Engine`. Colour layout and normalisation are compiled into the network."""

    def __init__(
        self, model: Model, loaded: Loaded, sha256: str, threads: int, *, graphs: bool
    ) -> None:
        self.loaded = loaded
        self._cuda = loaded.cuda
        self._imgsz = model.imgsz
        self.slots = [Slot(loaded) for _ in range(SLOTS)]
        reasons = [slot.warm_up(graph=graphs) for slot in self.slots]
        self.without_graph = reasons[0] or reasons[1]
        loaded.keep_learnt()
        self.provenance = Provenance(
            backend="tensorrt",
            version=loaded.library.title,
            device=loaded.cuda.device.name,
            precision=model.precision,
            arithmetic="fp16" if model.precision == "fp16" else "fp32",
            threads=threads,
            model=model.name,
            model_sha256=model.sha256,
            engine_sha256=sha256,
        )

    def infer(self, images: ImageArray) -> FloatArray:
        check_images(images, self._imgsz)
        self._cuda.use()
        batch, *shape = self.loaded.output_shape
        results = np.empty((len(images), *shape), np.float32)
        try:
            for number, start in enumerate(range(0, len(images), batch)):
                slot, other = (self.slots[(number + k) % SLOTS] for k in (0, 1))
                slot.collect()
                part = slice(start, start + batch)
                slot.start(images[part], results[part], after=other)
        finally:  # also after an error nothing may be on its way into an array that is gone
            for slot in self.slots:
                slot.collect()
        return results

    def run_on_device(self, source: int, target: int, n: int, stream: int) -> None:
        """Put a run of 1 to a batch of images on a stream of this GPU, given by its raw handle.

        `source` and `target` are addresses on the GPU: uint8 (n, imgsz, imgsz, 3), float32 (n,
        ...), both to stay valid until the run is done, for which nothing here waits.
        """
        self._cuda.use()
        slot, other = self.slots
        slot.run_on_device(Borrowed(source), Borrowed(target), n, Borrowed(stream), other)
