"""What a GPU does here: parity with the reference, speed against the bare engine, a whole scan.

Each part of the result says `available`, and `because` where it is not; a part that fails leaves
the others standing. README's table of machines comes from files that this wrote.
"""

from __future__ import annotations

import importlib
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import forensics
from forensics.backends import Engine, available_backends, open_engine, trt
from forensics.backends import cuda as cuda_driver
from forensics.backends.trt_build import PROFILES
from forensics.cascade import on_device
from forensics.cascade.crops import cut_crops
from forensics.cascade.definition import (
    CascadeDefinition,
    ClassifierSpec,
    DetectorSpec,
    load_cascade,
    model_file,
)
from forensics.errors import BackendError, ForensicsError
from forensics.footage.find import common_base, find_inputs
from forensics.runlog.manifest import utc_now
from forensics.runlog.reader import open_run
from forensics.scan.gpu_paths import compare_ways
from forensics.scan.local import scan
from forensics.scan.settings import default_settings, open_cascade
from forensics.tiling import WHOLE
from forensics.types import ImageArray

SCHEMA = 1
PACKAGES = (
    *("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx-cu13", "onnx", "onnxruntime"),
    *("torch", "torchvision", "PyNvVideoCodec", "openvino", "numpy"),
)
PARITY_PICTURES = 16
WARM_UP = 5
Say = Callable[[str], None]
Part = dict[str, Any]
Spec = DetectorSpec | ClassifierSpec


def gpu_check(
    footage: Sequence[Path], say: Say, *, cascade: str = "handgun", rounds: int = 50
) -> dict[str, Any]:
    """Measure all that this machine allows; medians are of `rounds` runs.

    `footage` is scanned by TensorRT and by ONNX Runtime. Raises CascadeError only.
    """
    definition = load_cascade(cascade)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "product": f"forensics {forensics.__version__}",
        "when_utc": utc_now(),
        "machine": _machine(),
        "cascade": {"name": definition.name, "sha256": definition.sha256},
        "installed": _installed(),
    }
    parts: dict[str, Callable[[], Part]] = {"gpu": _gpu}
    for stage, spec in _stages(definition).items():
        for precision in trt.precisions():
            name = f"{stage} {precision}"
            parts[name] = _network(spec, stage, precision, rounds)
    parts["on_device"] = lambda: _on_device(definition)
    parts["nvdec"] = lambda: _nvdec(footage)
    parts["frames_on_gpu"] = lambda: _frames_on_gpu(footage, cascade, rounds)
    parts["scan"] = lambda: _scans(footage, cascade)
    for name, measure in parts.items():
        say(name)
        result[name] = _tried(measure)
        if not result[name]["available"]:
            say(f"  not available, because {result[name]['because']}")
    return result


def _tried(measure: Callable[[], Part]) -> Part:
    try:
        return {"available": True, **measure()}
    except ForensicsError as error:
        return {"available": False, "because": str(error)}
    except Exception as error:  # drivers and their libraries raise anything: the others go on
        return {"available": False, "because": f"{type(error).__name__}: {error}"[:400]}


def _machine() -> Part:
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }


def _installed() -> Part:
    found: Part = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return {"packages": found, "backends": available_backends()}


def _gpu() -> Part:
    device = cuda_driver.open_device()
    free, total = device.memory()
    return {**asdict(device.device), "memory_free_bytes": free, "memory_total_bytes": total}


def _stages(definition: CascadeDefinition) -> dict[str, Spec]:
    stages: dict[str, Spec] = {"detector": definition.detector}
    if definition.classifier is not None:
        stages["classifier"] = definition.classifier
    return stages


def _network(spec: Spec, stage: str, precision: str, rounds: int) -> Callable[[], Part]:
    def measure() -> Part:
        trt.version()  # says why not, before anything is opened
        if precision not in {*spec.files, "fp16"}:
            raise BackendError(f"the cascade has no {precision} file for its {stage}")
        model = model_file(spec.files, precision).load(precision, spec.imgsz)
        pictures = _pictures(spec.imgsz, PARITY_PICTURES)
        started = time.monotonic()
        engine = open_engine("tensorrt", model, spec.normalisation)
        ready_s = time.monotonic() - started
        reference = open_engine(
            "onnxruntime", spec.files["fp32"].load("fp32", spec.imgsz), spec.normalisation
        )
        rows = np.s_[:, 4:] if stage == "detector" else np.s_[:]
        facts: Part = {
            "provenance": asdict(engine.provenance),
            "ready_s": ready_s,
            "parity_with_onnxruntime_fp32": _apart(engine, reference, pictures, rows),
            "batches": {},
        }
        for batch in PROFILES:
            for graphs in (True, False):
                one = trt.open_engine(
                    model, spec.normalisation, 1, "fp32", batch=batch, graphs=graphs
                )
                facts["batches"][f"{batch}, graph {'on' if graphs else 'off'}"] = _speed(
                    one, _pictures(spec.imgsz, batch), rounds
                )
        return facts

    return measure


def _pictures(imgsz: int, n: int) -> ImageArray:
    """Coarse coloured squares: the same on every machine."""
    coarse = np.random.default_rng(7).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    times = -(-imgsz // 8)
    large = np.repeat(np.repeat(coarse, times, axis=1), times, axis=2)
    return np.ascontiguousarray(large[:, :imgsz, :imgsz])


def _apart(engine: Engine, reference: Engine, pictures: ImageArray, rows: Any) -> Part:
    """How far scores or logits lie apart, and whether the batch changes a bit."""
    found, expected = engine.infer(pictures), reference.infer(pictures)
    apart = np.abs(found[rows] - expected[rows])
    alone = np.concatenate([engine.infer(pictures[[n]]) for n in range(len(pictures))])
    return {
        "pictures": len(pictures),
        "greatest": float(apart.max()),
        "mean": float(apart.mean()),
        "finite": bool(np.isfinite(found).all()),
        "same_bits_alone": bool(np.array_equal(alone, found)),
        "same_bits_again": bool(np.array_equal(engine.infer(pictures), found)),
    }


def _speed(engine: trt.TensorRtEngine, pictures: ImageArray, rounds: int) -> Part:
    """Latency of one batch with its copies, throughput of many, and the engine alone."""
    many = np.concatenate([pictures] * 8)
    times: dict[str, list[float]] = {"latency_s": [], "many_s": []}
    for number in range(WARM_UP + rounds):  # interleaved, so that a drift meets both alike
        for name, images in (("latency_s", pictures), ("many_s", many)):
            started = time.perf_counter()
            engine.infer(images)
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - started)
    bare_s = [_bare_s(engine, 10) for _ in range(rounds)]
    latency, whole, bare = (
        statistics.median(values) for values in (*times.values(), bare_s)
    )
    return {
        "without_graph_because": engine.without_graph,
        "latency_s": latency,
        "latency_quartiles_s": statistics.quantiles(times["latency_s"], n=4),
        "bare_engine_s": bare,
        "bare_engine_images_per_s": len(pictures) / bare,
        "images_per_s": len(many) / whole,
        "share_of_bare_engine": (len(many) / whole) / (len(pictures) / bare),
    }


def _bare_s(engine: trt.TensorRtEngine, runs: int) -> float:
    """Seconds of a run without copies, by the GPU's own clock."""
    cuda, slot = engine.loaded.cuda, engine.slots[0]
    start, end = cuda.event(), cuda.event()
    cuda.record(start, slot.stream)
    for _ in range(runs):
        slot.run(slot.stream)
    cuda.record(end, slot.stream)
    cuda.finish(slot.stream)
    return cuda.elapsed_s(start, end) / runs


def _on_device(definition: CascadeDefinition) -> Part:
    """Letterbox and crops on the GPU against the same functions, and OpenCV's, on the CPU."""
    cuda_driver.open_device()
    torch = on_device.load_torch()
    if not torch.cuda.is_available():
        raise BackendError("PyTorch here is built without CUDA, or for another driver")
    frame = _pictures(1920, 1)[0][:1080]
    (view,) = WHOLE.views(1920, 1080, definition.detector.imgsz)
    luma = torch.from_numpy(frame[..., 0].copy())
    blue, red = (torch.from_numpy(frame[::2, ::2, n].copy()) for n in (1, 2))
    here = on_device.Planes(luma, blue, red, matrix=1, range=1)
    there = on_device.Planes(luma.cuda(), blue.cuda(), red.cuda(), matrix=1, range=1)
    facts: Part = {
        "letterbox_levels_apart": _levels(
            on_device.letterbox(there, view.letterbox).cpu(),
            on_device.letterbox(here, view.letterbox),
        )
    }
    if definition.classifier is not None:
        boxes = np.array([[10, 10, 60, 90], [900, 500, 1600, 1000]], np.float32)
        rgb = torch.from_numpy(frame).cuda()
        cut = on_device.crops(on_device.Rgb(rgb), boxes, definition.classifier).cpu()
        expected = torch.from_numpy(cut_crops(frame, boxes, definition.classifier))
        facts["crops_levels_apart_from_opencv"] = _levels(cut, expected)
    return facts


def _levels(one: Any, other: Any) -> int:
    return int((one.int() - other.int()).abs().max())


def _nvdec(footage: Sequence[Path]) -> Part:
    """Frames a second of the GPU's own decoder, the frames left on the GPU."""
    cuda_driver.open_device()
    try:
        codec = importlib.import_module("PyNvVideoCodec")
    except Exception as error:  # also RuntimeError, where the driver lacks a library
        raise BackendError(f"PyNvVideoCodec cannot be loaded ({error})") from error
    videos = [file for file in find_inputs(footage, recursive=True) if not file.is_still]
    if not videos:
        raise BackendError("no video was given with --footage")
    decoder = codec.SimpleDecoder(
        str(videos[0].path), use_device_memory=True, output_color_type=codec.OutputColorType.RGB
    )
    n = len(decoder)
    started = time.perf_counter()
    for number in range(n):
        decoder[number]
    elapsed_s = time.perf_counter() - started
    return {"file": videos[0].relative, "frames": n, "frames_per_s": n / elapsed_s}


def _frames_on_gpu(footage: Sequence[Path], cascade: str, rounds: int) -> Part:
    """Frames on the GPU against views of the decoding child: what both say, and how fast.

    End to end but for decoding: frames lie in memory. The bare engine is the detector's alone.
    """
    trt.version()
    settings = default_settings(cascade, "tensorrt")
    facts = compare_ways(footage, settings, rounds)
    engine = open_cascade(settings).engines[0]
    assert isinstance(engine, trt.TensorRtEngine)
    bare_s = statistics.median(_bare_s(engine, 10) for _ in range(rounds))
    bare = engine.loaded.input_shape[0] / bare_s
    shares = {name: speed / bare for name, speed in facts["frames_per_s"].items()}
    return {**facts, "bare_engine_images_per_s": bare, "share_of_bare_engine": shares}


class _Silent:
    def frames(self, n: int) -> None: ...

    def segment(self, footage_s: float) -> None: ...

    def file(self, row: dict[str, Any], size_bytes: int) -> None: ...


def _scans(footage: Sequence[Path], cascade: str) -> Part:
    """The whole scan by the reference and by TensorRT."""
    trt.version()
    if not footage:
        raise BackendError("no --footage was given")
    return compare_scans(footage, cascade, (("onnxruntime", "fp32"), ("tensorrt", "fp16")))


def compare_scans(footage: Sequence[Path], cascade: str, arms: Sequence[tuple[str, str]]) -> Part:
    """Scan with two pairs of backend and precision: speed, and frames that alarm in one only."""
    inputs, base = find_inputs(footage, recursive=True), common_base(footage)
    facts: Part = {}
    alarms = []
    for name, precision in arms:
        settings = default_settings(cascade, name, "auto", precision)
        with tempfile.TemporaryDirectory() as folder:
            result = scan(inputs, base, Path(folder, "RUN"), settings, progress=_Silent())
            alarms.append(_alarm_frames(Path(folder, "RUN")))
        facts[f"{name} {precision}"] = {
            "frames": result.frames,
            "elapsed_s": result.elapsed_s,
            "frames_per_s": result.frames / max(1e-9, result.elapsed_s),
            "alarm_frames": len(alarms[-1]),
        }
    facts["frames_that_alarm_in_one_only"] = len(alarms[0] ^ alarms[1])
    return facts


def _alarm_frames(folder: Path) -> set[tuple[str, int]]:
    """(media id, frame) of every alarm at the operating point."""
    run = open_run(folder)
    point = run.operating_point
    columns = ["media_id", "frame_index", "detector_score", "target_score"]
    rows = run.detections.select(columns).to_pandas()
    alarms = rows["detector_score"] >= np.float32(point.detector)
    if point.classifier is not None:
        alarms &= rows["target_score"] >= np.float32(point.classifier)
    chosen = rows[alarms]
    return set(zip(chosen["media_id"].astype(str), chosen["frame_index"].tolist(), strict=True))
