"""`make bench`: ceilings, our scans and peers side by side, in interleaved rounds of one run.

python -m bench [--source FILE] [--rounds 5] [--seconds 60] [--peers ENGINE ...] [--write]
python -m bench --modes [--source FILE] [--rounds 5] [--seconds 60]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench import measure
from bench.clips import FPS, make_clip
from bench.modes import measure_modes, modes_table
from forensics.scan.settings import default_settings

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "reports" / "benchmarks.json"
PAGE = ROOT / "reports" / "benchmarks.md"
DEFAULT_SOURCE = ROOT / "datasets" / "sample" / "gate-plain.mp4"


def main() -> None:
    """Measure, print the table, with --write keep it under reports/."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--source", type=Path, default=DEFAULT_SOURCE, help="gun-free footage")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=60, help="length of the clip")
    parser.add_argument("--backend", default="auto")
    parser.add_argument(
        "--peers",
        nargs="*",
        default=["openvino", "openvino-fp32", "onnx"],
        help="engines under ultralytics; none leaves it out",
    )
    parser.add_argument("--write", action="store_true", help="write reports/benchmarks.*")
    parser.add_argument(
        "--modes", action="store_true", help="only what --imgsz 1280 and --tiles 2x2 cost"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if options.modes:
            print(run_modes(options, Path(folder)))
            return
        figures = run(options, Path(folder))
    print(table(figures))
    if options.write:
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
        PAGE.write_text(page(figures))


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All rounds; the figures with their medians and ratios."""
    clip = make_clip(options.source, folder / "clip.mp4", FPS * options.seconds, (1920, 1080))
    settings = default_settings(backend=options.backend)
    inference = measure.InferenceOnly(clip, settings)
    subjects: dict[str, Callable[[], float | None]] = {
        "decode only (D)": lambda: measure.decode_only(clip),
        "inference only (I)": inference,
    }
    for name, variant in measure.variants(settings).items():
        subjects[name] = lambda variant=variant: measure.scan_rate(clip, variant)  # type: ignore[misc]
    for engine in options.peers:
        subjects[f"ultralytics predict, {engine}"] = (
            lambda engine=engine: measure.peer_rate(clip, engine)  # type: ignore[misc]
        )
    rounds: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(options.rounds):
        for name, subject in subjects.items():
            rate = subject()
            if rate is not None:
                rounds[name].append(rate)
                print(f"round {number + 1}: {name}: {rate:.1f} frames/s", flush=True)
    memory = {f"{options.seconds} s": measure.peak_memory_mib(clip)}
    longer = make_clip(options.source, folder / "long.mp4", 4 * FPS * options.seconds, (1920, 1080))
    memory[f"{4 * options.seconds} s"] = measure.peak_memory_mib(longer)
    figures = _figures(options, settings.backend_why, rounds, memory)
    gated = measure.variants(settings)["scan, gate at operating point"]
    return figures | {"classifier_share": measure.classifier_share(clip, gated)}


def run_modes(options: argparse.Namespace, folder: Path) -> str:
    """The slower modes on the same clip; the table."""
    clip = make_clip(options.source, folder / "clip.mp4", FPS * options.seconds, (1920, 1080))
    settings = default_settings(backend=options.backend)
    rates = measure_modes(clip, settings, options.rounds, measure.scan_rate)
    head = f"{options.source.name} at 1920x1080, {options.seconds} s; {settings.backend_why}"
    return f"{head}\n{_cpu()}, {os.cpu_count()} cores\n\n{modes_table(rates)}"


def _figures(
    options: argparse.Namespace,
    backend: str,
    rounds: dict[str, list[float]],
    memory: dict[str, float],
) -> dict[str, Any]:
    medians = {name: median(values) for name, values in rounds.items() if values}
    bound = 1 / (1 / medians["decode only (D)"] + 1 / medians["inference only (I)"])
    alone = medians["scan, detector only"]
    return {
        "command": f"python -m bench --rounds {options.rounds} --seconds {options.seconds} "
        f"--peers {' '.join(options.peers)} --write",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {platform.platform()}",
        "backend": backend,
        "clip": f"{options.source.name} at 1920x1080, H.264, {options.seconds} s, 25 frames/s",
        "rounds": rounds,
        "median_frames_per_s": medians,
        "bound_frames_per_s": bound,
        "scan_over_bound": alone / bound,
        "cascade_cost": {
            name: _paired_cost(rounds["scan, detector only"], rounds[name])
            for name in ("scan, gate at operating point", "scan, gate at floor")
        },
        "peak_memory_mib": memory,
    }


def _paired_cost(alone: list[float], both: list[float]) -> float:
    """Share of time that the classifier adds: median over rounds of the paired ratio, less 1."""
    return median(a / b for a, b in zip(alone, both, strict=True)) - 1


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    bound = figures["bound_frames_per_s"]
    lines = [
        f"{figures['clip']}; {figures['backend']}",
        f"{figures['machine']}; {figures['date']}",
        "",
        "| | frames/s, median | of the bound |",
        "|---|---|---|",
    ]
    for name, value in figures["median_frames_per_s"].items():
        lines.append(f"| {name} | {value:.1f} | {value / bound:.2f} |")
    lines.append(f"| bound 1/(1/D + 1/I) | {bound:.1f} | 1.00 |")
    lines.append("")
    for name, cost in figures["cascade_cost"].items():
        lines.append(f"{name}: {100 * cost:+.1f} % time over detector only")
    share = 100 * figures["classifier_share"]
    lines.append(f"classifier's own share of the scan, gate at operating point: {share:.2f} %")
    for name, mib in figures["peak_memory_mib"].items():
        lines.append(f"peak memory, clip of {name}: {mib:.0f} MiB")
    return "\n".join(lines)


def page(figures: dict[str, Any]) -> str:
    """reports/benchmarks.md."""
    return f"""# Benchmarks

Made by `{figures["command"]}`.

Every round measures each line once, one after the other; the table gives medians.
Absolute figures belong to the machine named; what counts are the ratios within the
run.

- D: bare PyAV decoding of the clip with one thread, frames thrown away.
- I: the detector's engine on pictures in memory, all cores, nothing else running.
- Bound: 1/(1/D + 1/I), what decoding and inference cost when nothing overlaps and all else is free.
- Scans include opening the models, the log with its commits, and the hashing of the clip. Opening
  the second network takes a second or so, which shows in a clip this short; the classifier's own
  share, taken by the clock inside a scan, is what grows with the footage.
- Memory grows until the first segment (60 s) is full, and no further.
- `ultralytics predict`: the same weights, input size and clip, in a process of its own, without
  its start-up and first 20 frames. Its `openvino` computes in bfloat16 where the CPU has it;
  `openvino-fp32` is made to compute in single precision, as our scans do unless told otherwise.

{table(figures)}
"""


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
