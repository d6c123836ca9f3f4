"""What the slower modes cost: scans at 640, at 1280 and in 2 x 2 tiles, in interleaved rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from forensics.scan.settings import ScanSettings
from forensics.tiling import Tiling

Rates = dict[str, list[float]]


def modes(settings: ScanSettings) -> dict[str, ScanSettings]:
    """The modes compared, detector only; the first is what the others are compared with."""
    plain = replace(settings, detector_only=True, imgsz=640)
    return {
        "640": plain,
        "1280": replace(plain, imgsz=1280),
        "640, tiles 2x2": replace(plain, tiling=Tiling(2, 2, 0.2)),
    }


def measure_modes(
    clip: Path,
    settings: ScanSettings,
    rounds: int,
    rate: Callable[[Path, ScanSettings], float],
    say: Callable[[str], None],
) -> Rates:
    """Frames/s of each round and mode, one after the other within a round."""
    found: Rates = {name: [] for name in modes(settings)}
    for number in range(rounds):
        for name, mode in modes(settings).items():
            found[name].append(rate(clip, mode))
            say(f"round {number + 1}: {name}: {found[name][-1]:.2f} frames/s")
    return found


def modes_table(rates: Rates) -> str:
    """Medians, and the median of each round's ratio to the first mode, as Markdown."""
    first = next(iter(rates.values()))
    lines = ["| scan, detector only | frames/s, median | time of a frame, x |", "|---|---|---|"]
    for name, values in rates.items():
        ratio = median(a / b for a, b in zip(first, values, strict=True))
        lines.append(f"| {name} | {median(values):.2f} | {ratio:.2f} |")
    return "\n".join(lines)
