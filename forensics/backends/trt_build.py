"""Build a TensorRT engine from a network of a cascade; no GPU is needed by TensorRT-RTX."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from forensics.backends.base import BUILDING, Model, Normalisation
from forensics.backends.cuda import Device
from forensics.backends.engine_cache import PIXELS, RECIPE, EngineCache, EngineKey
from forensics.backends.trt_library import RTX, Library, Messages
from forensics.errors import BackendError

# Batches that an engine is compiled for. Any other size would be compiled for a range, which is
# slower and cannot be recorded as a CUDA graph.
PROFILES = (1, 8, 16)
# Left out by every engine: it rounds float32 to 10 bits, unasked.
FLAGS = ("no TF32",)


@dataclass(frozen=True, slots=True)
class Target:
    """The GPU that an engine is built for; `gpu` is empty where any of `compute` will do."""

    compute: str
    gpu: str

    @classmethod
    def of(cls, device: Device, library: Library) -> Target:
        """TensorRT-RTX compiles for the very GPU when it opens an engine, not when it builds."""
        return cls(device.compute, "" if library.flavour == RTX else device.name)


def engine_key(
    model: Model, normalisation: Normalisation, library: Library, target: Target
) -> EngineKey:
    return EngineKey(
        model_sha256=hashlib.sha256(model.data).hexdigest(),
        recipe=RECIPE,
        mean=normalisation.mean,
        std=normalisation.std,
        imgsz=model.imgsz,
        precision=model.precision,
        profiles=PROFILES,
        flags=FLAGS,
        flavour=library.flavour,
        version=library.version,
        compute=target.compute,
        gpu=target.gpu,
    )


def build(
    model: Model,
    normalisation: Normalisation,
    library: Library,
    target: Target,
    cache: EngineCache,
) -> bytes:
    """The engine, as bytes. Tells `BUILDING` how far it is. Raises BackendError."""
    from forensics.backends.graphs import prepare  # needs onnx; a finished engine does not

    graph = prepare(model, normalisation)
    return _Building(model, library, target, cache).run(graph)


@dataclass
class _Building:
    model: Model
    library: Library
    target: Target
    cache: EngineCache
    messages: Messages = field(init=False)

    def __post_init__(self) -> None:
        self.messages = Messages(self.library.trt)

    def run(self, graph: bytes) -> bytes:
        trt, check = self.library.trt, self.messages.ok
        try:
            builder = trt.Builder(self.messages.logger)
        except (TypeError, RuntimeError) as error:  # it cannot talk to the driver
            raise BackendError(f"{self.library.title} does not start: {error}") from error
        typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = check(builder.create_network(typed), "makes no network")
        self._parse(network, graph)
        config = check(builder.create_builder_config(), "makes no builder configuration")
        config.clear_flag(trt.BuilderFlag.TF32)
        self._aim(config)
        self._add_profiles(builder, config)
        timings = self._timings(config)
        monitor = _monitor(trt, self.model.name)
        config.progress_monitor = monitor
        plan = builder.build_serialized_network(network, config)
        if monitor.stopped:
            raise KeyboardInterrupt
        plan = check(plan, f"cannot build {self.model.name}")
        if timings is not None:
            self.cache.write(self._timings_name(), bytes(timings.serialize()))
        return bytes(plan)

    def _parse(self, network: Any, graph: bytes) -> None:
        parser = self.library.trt.OnnxParser(network, self.messages.logger)
        if not parser.parse(graph):
            found = [parser.get_error(n).desc() for n in range(parser.num_errors)]
            reason = " ".join(found[0].split()) if found else "no reason given"
            raise BackendError(f"TensorRT cannot run {self.model.name}: {reason[:400]}")
        if network.num_inputs != 1 or network.num_outputs < 1:
            raise BackendError(
                f"TensorRT cannot run {self.model.name}: it has {network.num_inputs} inputs and "
                f"{network.num_outputs} outputs, not one and one"
            )
        for number in range(network.num_outputs - 1, 0, -1):  # only the first is used
            network.unmark_output(network.get_output(number))

    def _aim(self, config: Any) -> None:
        if self.library.flavour != RTX:
            return
        capability = self.library.capability(self.target.compute)
        if capability is None:
            known = ", ".join(self.library.capabilities())
            raise BackendError(
                f"{self.library.title} builds for compute capability {known}, not for "
                f"{self.target.compute}"
            )
        config.num_compute_capabilities = 1
        done = config.set_compute_capability(capability, 0)
        self.messages.ok(done, f"does not build for {self.target.compute}")

    def _add_profiles(self, builder: Any, config: Any) -> None:
        size = self.model.imgsz
        for number, batch in enumerate(PROFILES):
            profile = self.messages.ok(builder.create_optimization_profile(), "makes no profile")
            shape = (batch, size, size, 3)
            profile.set_shape(PIXELS, shape, shape, shape)
            if config.add_optimization_profile(profile) != number:
                self.messages.ok(False, f"refuses batches of {batch}")

    def _timings(self, config: Any) -> Any:
        """How long kernels took in builds before this one; TensorRT-RTX does not measure any."""
        if self.library.flavour == RTX:
            return None
        known = self.cache.read(self._timings_name())
        timings = config.create_timing_cache(known)
        if timings is None or not config.set_timing_cache(timings, ignore_mismatch=False):
            timings = self.messages.ok(config.create_timing_cache(b""), "makes no timing cache")
            done = config.set_timing_cache(timings, ignore_mismatch=False)
            self.messages.ok(done, "refuses a timing cache")
        return timings

    def _timings_name(self) -> str:
        gpu = "".join(c if c.isalnum() else "-" for c in self.target.gpu)
        return f"timings-{self.library.version}-{gpu}.cache"


def _monitor(trt: Any, name: str) -> Any:
    base: Any = trt.IProgressMonitor
    show = BUILDING.get()

    class Monitor(base):  # type: ignore[misc]  # its base is known only when it is loaded
        """Tells how much of the outermost phase is done; Ctrl-C ends the build early."""

        def __init__(self) -> None:
            base.__init__(self)
            self.stopped = False
            self._phases: dict[str, tuple[str | None, int, float]] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._phases[phase] = (parent, max(1, steps), 0.0)

        def step_complete(self, phase: str, step: int) -> bool:
            parent, steps, _ = self._phases.get(phase, (None, 1, 0.0))
            self._phases[phase] = (parent, steps, (step + 1) / steps)
            return self._tell()

        def phase_finish(self, phase: str) -> None:
            parent, steps, _ = self._phases.pop(phase, (None, 1, 0.0))
            if parent is None:
                self._phases[phase] = (parent, steps, 1.0)
                self._tell()

        def _tell(self) -> bool:
            outer = [done for parent, _, done in self._phases.values() if parent is None]
            inner = [
                done / self._phases[parent][1]
                for parent, _, done in self._phases.values()
                if parent in self._phases and self._phases[parent][0] is None
            ]
            try:
                show(name, min(1.0, max(outer, default=0.0) + max(inner, default=0.0)))
            except KeyboardInterrupt:  # an exception must not pass through TensorRT
                self.stopped = True
            return not self.stopped

    return Monitor()


