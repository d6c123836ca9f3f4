"""All measurements of one benchmark: ceilings, scans and peers in interleaved rounds, then growth.

Every round measures each line once, one after the other, so that what else the machine does falls
on all of them; ratios are medians of the ratios within the rounds.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from forensics.bench import measure, peer
from forensics.bench.clips import FPS, make_clip
from forensics.bench.growth import by_boxes, by_length
from forensics.bench.gun_free import CLIPS, measure_gun_free
from forensics.bench.modes import measure_modes
from forensics.bench.processes import Peer, Say, watched_scan
from forensics.bench.skipping import measure_skipping
from forensics.errors import BenchError
from forensics.scan.settings import ScanSettings, default_settings
from forensics.truth.load import load_truth

SIZE = (1920, 1080)
PARTS = ("speed", "memory", "length", "boxes", "skipping", "gun-free", "modes")
DEFAULT_PARTS = PARTS[:-2]
DECODE, INFERENCE = "decode only (D)", "inference only (I)"
INFERENCE_FP32 = "inference only (I), fp32 files"
ALONE, ALONE_FP32 = "scan, detector only", "scan, detector only, fp32 files"
GATED, FLOOR = "scan, gate at operating point", "scan, gate at floor"
ONE = "one image at a time"
PEER = "ultralytics predict, "
NO_FOOTAGE = "no labelled footage (set FORENSICS_DATA)"
# Labelled footage under the data folder: a robbery, and clips of ordinary scenes.
LABELLED = ("gun/shop-counter.mp4", "gun/nofi011.mp4", "ordinary/nofi00[1-5].mp4")


@dataclass(frozen=True)
class BenchOptions:
    """What to measure. `data`: folder of labelled footage, as FORENSICS_DATA names it."""

    source: Path
    rounds: int = 5
    seconds: int = 5
    backend: str = "auto"
    peers: tuple[str, ...] = peer.ENGINES
    peer_frames: int = 30
    minutes: tuple[int, ...] = (1, 4, 16)
    parts: tuple[str, ...] = DEFAULT_PARTS
    data: Path | None = None
    size: tuple[int, int] = SIZE

    def __post_init__(self) -> None:
        if unknown := set(self.parts) - set(PARTS):
            raise BenchError(f"no part {sorted(unknown)[0]!r}; choose among {', '.join(PARTS)}")
        if min(self.rounds, self.seconds, *self.minutes) < 1:
            raise BenchError("rounds, seconds and minutes must be at least 1")
        if not self.source.is_file():
            raise BenchError(f"no footage at {self.source}; give --source a gun-free video")


def run_bench(options: BenchOptions, say: Say = print) -> dict[str, Any]:
    """Measure; the figures, ready for JSON and for `page`. `say` hears of each measurement."""
    settings = default_settings(backend=options.backend)
    n_frames = max(FPS * options.seconds, 3 * measure.EDGE * settings.batch)
    figures: dict[str, Any] = {
        "schema": 1,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{cpu_name()}, {os.cpu_count()} cores, {platform.platform()}",
        "backend": settings.backend_why,
        "batch": settings.batch,
        "clip": f"{options.source.name} at {options.size[0]}x{options.size[1]}, H.264, "
        f"{n_frames} frames",
        "notes": [],
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        clip = make_clip(options.source, folder / "clip.mp4", n_frames, options.size)
        if "speed" in options.parts:
            figures["speed"] = measure_speed(clip, settings, options, say)
            figures["notes"] += figures["speed"].pop("notes")
        if "memory" in options.parts:
            figures["peak_memory_mib"] = watched_scan(clip).peak_mib
            say(f"peak memory: {figures['peak_memory_mib']:.0f} MiB")
        if "length" in options.parts:
            figures["length"] = by_length(options.source, folder, options.minutes, say)
        if "boxes" in options.parts:
            figures["boxes"] = by_boxes(clip, settings, say)
        if "skipping" in options.parts:
            found = _skipping(options, settings, say)
            if isinstance(found, str):
                figures["notes"].append(f"static-scene gate: not measured: {found}")
            else:
                figures["skipping"] = found
        if "gun-free" in options.parts:
            paths = _footage(options, CLIPS)
            if paths:
                figures["gun_free"] = measure_gun_free(paths, settings, options.rounds, say)
            else:
                figures["notes"].append(f"gun-free footage: not measured: {NO_FOOTAGE}")
        if "modes" in options.parts:
            figures["modes"] = measure_modes(
                clip, settings, options.rounds, lambda c, s: measure.timed_scan(c, s).steady, say
            )
    return figures


def measure_speed(
    clip: Path, settings: ScanSettings, options: BenchOptions, say: Say
) -> dict[str, Any]:
    """The rounds of ceilings, scans and peers, and what follows from them."""
    subjects = _ceilings(clip, settings, options)
    timings: dict[str, list[measure.ScanTiming]] = {}

    def scanning(name: str, variant: ScanSettings) -> Callable[[], float]:
        def timed() -> float:
            timings.setdefault(name, []).append(measure.timed_scan(clip, variant))
            return timings[name][-1].steady

        return timed

    for name, variant in measure.variants(settings).items():
        subjects[name] = scanning(name, variant)
    subjects[ONE] = measure.OneAtATime(clip, settings, options.peer_frames)
    notes = []
    with ExitStack() as stack:
        for engine in options.peers:
            other = stack.enter_context(Peer(clip, engine))
            if other.why:
                notes.append(f"{PEER}{engine}: not available: {other.why}")
            else:
                subjects[PEER + engine] = partial(other.rate, options.peer_frames)
        rounds = _rounds(subjects, options.rounds, say)
    return {"rounds": rounds, "notes": notes, **derived(rounds), **_shares(timings)}


def _rounds(
    subjects: dict[str, Callable[[], float | None]], n_rounds: int, say: Say
) -> dict[str, list[float]]:
    rounds: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(n_rounds):
        for name, subject in subjects.items():
            rate = subject()
            if rate is None:
                raise BenchError(f"{name} gave no figure in round {number + 1}; leave it out")
            rounds[name].append(rate)
            say(f"round {number + 1}: {name}: {rate:.1f} frames/s")
    return rounds


def _ceilings(
    clip: Path, settings: ScanSettings, options: BenchOptions
) -> dict[str, Callable[[], float | None]]:
    n_frames = 12 * options.seconds
    subjects: dict[str, Callable[[], float | None]] = {
        DECODE: lambda: measure.decode_only(clip),
        INFERENCE: measure.InferenceOnly(clip, settings, n_frames),
    }
    if settings.precision != "fp32":
        reference = replace(settings, precision="fp32", arithmetic="fp32")
        subjects[INFERENCE_FP32] = measure.InferenceOnly(clip, reference, n_frames // 2)
    return subjects


def derived(rounds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians; the bounds 1/(1/D + 1/I); medians of the ratios within each round."""

    def ratio(a: str, b: str) -> float | None:
        if a not in rounds or b not in rounds:
            return None
        return median(x / y for x, y in zip(rounds[a], rounds[b], strict=True))

    def bounds(inference: str) -> list[float]:
        pairs = zip(rounds[DECODE], rounds.get(inference, []), strict=False)
        return [1 / (1 / decode + 1 / infer) for decode, infer in pairs]

    def of_bound(scan: str, inference: str) -> float | None:
        limits = bounds(inference)
        if scan not in rounds or not limits:
            return None
        return median(x / y for x, y in zip(rounds[scan], limits, strict=True))

    alone_over = {gated: ratio(ALONE, gated) for gated in (GATED, FLOOR)}
    peers = [name for name in rounds if name.startswith(PEER)]
    return {
        "median_frames_per_s": {name: median(values) for name, values in rounds.items()},
        "bound_frames_per_s": {
            name: median(bounds(name)) for name in (INFERENCE, INFERENCE_FP32) if bounds(name)
        },
        "of_bound": {
            ALONE: of_bound(ALONE, INFERENCE),
            ALONE_FP32: of_bound(ALONE_FP32, INFERENCE_FP32),
        },
        "cascade_cost": {gated: over - 1 for gated, over in alone_over.items() if over is not None},
        "over_peer": {
            name: {ALONE: ratio(ALONE, name), ALONE_FP32: ratio(ALONE_FP32, name)}
            for name in [ONE, *peers]
            if name in rounds
        },
    }


def _shares(timings: dict[str, list[measure.ScanTiming]]) -> dict[str, Any]:
    return {
        "opening_s": {name: median(t.opening_s for t in found) for name, found in timings.items()},
        "whole_scan_frames_per_s": {
            name: median(t.whole for t in found) for name, found in timings.items()
        },
        "classifier_share": {
            name: median(t.classifier_share for t in timings[name])
            for name in (GATED, FLOOR)
            if name in timings
        },
    }


def _skipping(
    options: BenchOptions, settings: ScanSettings, say: Say
) -> list[dict[str, Any]] | str:
    """The rows, or why there are none."""
    paths = _footage(options, LABELLED)
    if options.data is None or not paths:
        return NO_FOOTAGE
    gated = replace(settings, gate=settings.cascade.operating_point.detector)
    truth = load_truth([options.data / "footage" / "truth" / "spans.csv"])
    return measure_skipping(paths, truth, gated, say)


def _footage(options: BenchOptions, patterns: Sequence[str]) -> list[Path]:
    """What of the data folder's footage the patterns name; empty where there is none."""
    if options.data is None or not (options.data / "footage" / "truth").is_dir():
        return []
    footage = options.data / "footage"
    return [path for pattern in patterns for path in sorted(footage.glob(pattern))]


def cpu_name() -> str:
    """What this machine's processor calls itself."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"
