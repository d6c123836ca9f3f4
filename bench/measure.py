"""The things measured. Each returns frames per second of one round."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np

from forensics.backends import open_engine, resolve_arithmetic
from forensics.cascade.pipeline import Pipeline
from forensics.errors import BackendError
from forensics.footage.find import common_base, find_inputs
from forensics.footage.pixels import Packer
from forensics.scan.local import scan
from forensics.scan.settings import ScanSettings


class Silent:
    """A progress display that shows nothing."""

    def frames(self, n: int) -> None: ...

    def segment(self, footage_s: float) -> None: ...

    def file(self, row: dict[str, Any], size_bytes: int) -> None: ...


def decode_only(clip: Path) -> float:
    """D: bare PyAV, one thread, frames thrown away."""
    count, started = 0, time.perf_counter()
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for _ in container.decode(stream):
            count += 1
    return count / (time.perf_counter() - started)


class InferenceOnly:
    """I: the same engine on views of the same clip, in memory, all cores, nothing else running."""

    def __init__(self, clip: Path, settings: ScanSettings, n_frames: int = 240) -> None:
        spec = settings.cascade.detector
        model = spec.files[settings.precision].load(settings.precision, settings.imgsz)
        self._engine = open_engine(
            settings.backend, model, spec.normalisation, arithmetic=settings.arithmetic
        )
        self._views = _views(clip, settings.imgsz, settings.batch)
        self._n_batches = n_frames // settings.batch
        self._batch = settings.batch

    def __call__(self) -> float:
        started = time.perf_counter()
        for _ in range(self._n_batches):
            self._engine.infer(self._views)
        return self._n_batches * self._batch / (time.perf_counter() - started)


def scan_rate(clip: Path, settings: ScanSettings) -> float:
    """A whole scan into a fresh run folder: opening, decoding, both networks, log, commits."""
    folder = Path(tempfile.mkdtemp(prefix="bench-run-"))
    try:
        started = time.perf_counter()
        inputs = find_inputs([clip], recursive=False)
        result = scan(inputs, common_base([clip]), folder, settings, progress=Silent())
        return result.frames / (time.perf_counter() - started)
    finally:
        shutil.rmtree(folder)


def variants(settings: ScanSettings) -> dict[str, ScanSettings]:
    """The scans compared; one of FP32 files, and one in bfloat16 where the CPU has it."""
    point = settings.cascade.operating_point
    alone = replace(settings, detector_only=True)
    reference = replace(alone, precision="fp32")
    found = {
        "scan, detector only": alone,
        "scan, gate at operating point": replace(settings, gate=point.detector),
        "scan, gate at floor": settings,
        "scan, detector only, fp32 files": reference,
    }
    try:
        resolve_arithmetic(settings.backend, "bf16", ())
    except BackendError:
        return found
    return found | {"scan, detector only, bf16": replace(reference, arithmetic="bf16")}


def classifier_share(clip: Path, settings: ScanSettings) -> float:
    """Share of a scan's time that is spent on crops and classifier, by the clock inside it."""
    spent_s, classify = 0.0, Pipeline._classify

    def timed(self: Pipeline, *values: Any) -> Any:
        nonlocal spent_s
        started = time.perf_counter()
        results = classify(self, *values)
        spent_s += time.perf_counter() - started
        return results

    started = time.perf_counter()
    with patch.object(Pipeline, "_classify", timed):
        scan_rate(clip, settings)
    return spent_s / (time.perf_counter() - started)


def peer_rate(clip: Path, engine: str) -> float | None:
    """`yolo predict` of ultralytics: same weights, size and clip; None where it is missing."""
    command = [sys.executable, "-m", "bench.peer", str(clip), engine]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"ultralytics, {engine}: not available: {done.stderr.strip().splitlines()[-1:]}")
        return None
    return float(json.loads(done.stdout.splitlines()[-1])["frames_per_s"])


def peak_memory_mib(clip: Path) -> float:
    """Peak proportional memory (PSS) of a scan and its decoders together, in MiB."""
    folder = Path(tempfile.mkdtemp(prefix="bench-run-"))
    command = [sys.executable, "-m", "forensics.cli.main", "scan", str(clip)]
    process = subprocess.Popen(
        [*command, "--out", str(folder / "run")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _tree_pss_mib(process.pid))
        time.sleep(0.1)
    shutil.rmtree(folder)
    if process.returncode:
        raise RuntimeError(f"scan left with {process.returncode}")
    return peak


def _tree_pss_mib(root: int) -> float:
    total_kib, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, ValueError):
            continue  # it has ended meanwhile
        total_kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kib / 1024


def _views(clip: Path, imgsz: int, n: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    views = np.empty((n, imgsz, imgsz, 3), np.uint8)
    packer = Packer(imgsz)
    with av.open(str(clip)) as container:
        for number, frame in zip(range(n), container.decode(video=0), strict=False):
            layout = packer.layout(frame)
            slot = bytearray(packer.views_bytes + layout.size_bytes)
            packer.pack(frame, layout, memoryview(slot))
            views[number] = np.frombuffer(slot, np.uint8, packer.views_bytes).reshape(
                imgsz, imgsz, 3
            )
    return views
