"""What is measured of a clip: ceilings, whole scans, and one image at a time. Frames per second."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from forensics.backends import open_engine
from forensics.bench.clips import pictures
from forensics.cascade.detector import Detector
from forensics.cascade.pipeline import Pipeline
from forensics.errors import BenchError
from forensics.footage.find import common_base, find_inputs
from forensics.footage.pixels import Packer
from forensics.scan import local
from forensics.scan.settings import ScanSettings
from forensics.tiling import WHOLE, View
from forensics.types import ImageArray

EDGE = 3  # batches at both ends of a scan that are not in its steady rate


class Clock:
    """A progress display that shows nothing and notes when batches came out."""

    def __init__(self) -> None:
        self.times_s: list[float] = []
        self.counts: list[int] = []

    def frames(self, n: int) -> None:
        self.times_s.append(time.perf_counter())
        self.counts.append(n)

    def segment(self, footage_s: float) -> None: ...

    def file(self, row: dict[str, Any], size_bytes: int) -> None: ...

    def steady_rate(self) -> float:
        """Frames/s between the batch `EDGE` from the start and that from the end.

        At both the pipeline is equally full, so that neither start nor end is in it. Raises
        BenchError for a clip too short to tell.
        """
        if len(self.counts) <= 2 * EDGE:
            raise BenchError("too few batches for a rate; give a longer clip")
        first, last = EDGE - 1, len(self.counts) - EDGE
        frames = sum(self.counts[first + 1 : last + 1])
        return frames / (self.times_s[last] - self.times_s[first])


@dataclass(frozen=True, slots=True)
class ScanTiming:
    """One scan: steady rate; rate with all that starts and ends it; seconds to open networks."""

    steady: float
    whole: float
    opening_s: float
    classifier_share: float


def decode_only(clip: Path) -> float:
    """D: bare decoding with one thread, frames thrown away."""
    started = time.perf_counter()
    count = sum(1 for _ in pictures(clip))
    return count / (time.perf_counter() - started)


def detector_of(settings: ScanSettings) -> Detector:
    """The detector, as a scan opens it."""
    spec = settings.cascade.detector
    model = spec.files[settings.precision].load(settings.precision, settings.imgsz)
    engine = open_engine(
        settings.backend,
        model,
        spec.normalisation,
        threads=settings.threads,
        arithmetic=settings.arithmetic,
    )
    return Detector(engine, spec, settings.floor)


class InferenceOnly:
    """I: the detector on pictures of the clip in memory, all cores, nothing else."""

    def __init__(self, clip: Path, settings: ScanSettings, n_frames: int) -> None:
        self._detector = detector_of(settings)
        seen = list(islice(letterboxed(clip, settings.imgsz), min(n_frames, 32)))
        self._images = np.concatenate([image for image, _ in seen])
        self._views = [view for _, view in seen]
        self._repeats = -(-n_frames // len(seen))
        self._detector.look(self._images[:4], self._views[:4])

    def __call__(self) -> float:
        started = time.perf_counter()
        for _ in range(self._repeats):
            self._detector.look(self._images, self._views)
        return self._repeats * len(self._views) / (time.perf_counter() - started)


class OneAtATime:
    """Decode a frame, letterbox it, run it, look at the next: no overlap, one image a call.

    How batch tools over single images work, with our engine: what the pipeline is worth.
    """

    def __init__(self, clip: Path, settings: ScanSettings, n_frames: int) -> None:
        self._clip, self._imgsz, self._n = clip, settings.imgsz, n_frames
        self._detector = detector_of(settings)

    def __call__(self) -> float:
        count, started = 0, time.perf_counter()
        for image, view in islice(letterboxed(self._clip, self._imgsz), self._n):
            self._detector.look(image, [view])
            count += 1
        return count / (time.perf_counter() - started)


def letterboxed(clip: Path, imgsz: int) -> Iterator[tuple[ImageArray, View]]:
    """What the detector is given of each frame, uint8 (1, imgsz, imgsz, 3), and its view."""
    packer = Packer(imgsz, full=False)
    for picture in pictures(clip):
        layout = packer.layout(picture)
        slot = bytearray(packer.views_bytes)
        packer.pack(picture, layout, memoryview(slot))
        (view,) = WHOLE.views(layout.width, layout.height, imgsz)
        yield np.frombuffer(slot, np.uint8, packer.views_bytes).reshape(1, imgsz, imgsz, 3), view


@contextmanager
def run_folder() -> Iterator[Path]:
    """A folder for a run, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-run-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def timed(owner: Any, name: str) -> Iterator[list[float]]:
    """Note the seconds that each call of a function takes, where it is called from `owner`."""
    function, spent = getattr(owner, name), []

    def wrapped(*values: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*values)
        finally:
            spent.append(time.perf_counter() - started)

    setattr(owner, name, wrapped)
    try:
        yield spent
    finally:
        setattr(owner, name, function)


def timed_scan(
    footage: Path | Sequence[Path], settings: ScanSettings, folder: Path | None = None
) -> ScanTiming:
    """A whole scan into a fresh run folder: decoding, both networks, log, commits, hashing."""
    if folder is None:
        with run_folder() as fresh:
            return timed_scan(footage, settings, fresh)
    paths = [footage] if isinstance(footage, Path) else footage
    clock, started = Clock(), time.perf_counter()
    with timed(local, "open_cascade") as opening, timed(Pipeline, "_classify") as classifying:
        inputs = find_inputs(paths, recursive=False)
        result = local.scan(inputs, common_base(paths), folder, settings, progress=clock)
    elapsed_s = time.perf_counter() - started
    busy_s = elapsed_s - sum(opening)
    return ScanTiming(
        clock.steady_rate(), result.frames / elapsed_s, sum(opening), sum(classifying) / busy_s
    )


def variants(settings: ScanSettings) -> dict[str, ScanSettings]:
    """The scans compared. `settings` are a scan's defaults: the gate is the floor."""
    point = settings.cascade.operating_point
    alone = replace(settings, detector_only=True)
    reference = replace(alone, precision="fp32", arithmetic="fp32")
    found = {
        "scan, detector only": alone,
        "scan, gate at operating point": replace(settings, gate=point.detector),
        "scan, gate at floor": settings,
    }
    if settings.precision != "fp32":
        found["scan, detector only, fp32 files"] = reference
    return found
