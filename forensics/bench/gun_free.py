"""What the second network costs on real footage without guns: whole scans in interleaved rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from forensics.bench.measure import run_folder, timed_scan
from forensics.bench.processes import Say
from forensics.runlog.reader import open_run
from forensics.scan.settings import ScanSettings

ALONE = "detector only"
# Below the data folder's `footage`: neither trained nor tuned on by the bundled networks.
CLIPS = (
    *("ordinary/nofi??[38].mp4", "ordinary/bottle-detection.mp4", "ordinary/box.mp4"),
    *("labelled/pets09-s2l1.avi", "labelled/tud-campus.mp4"),
    *("odd/issue53_brightness_change.avi", "odd/traffic_camera.mp4"),
)


def modes(settings: ScanSettings) -> dict[str, ScanSettings]:
    """The scans compared; the others are compared with the first. The default gate is the floor."""
    point = settings.cascade.operating_point
    return {
        ALONE: replace(settings, detector_only=True),
        "gate at operating point": replace(settings, gate=point.detector),
        "gate at floor": settings,
    }


def measure_gun_free(
    paths: Sequence[Path], settings: ScanSettings, rounds: int, say: Say
) -> dict[str, Any]:
    """Frames/s of each round and mode, and how many boxes a frame the classifier was shown."""
    found: dict[str, Any] = {name: {"frames_per_s": []} for name in modes(settings)}
    for number in range(rounds):
        for name, mode in modes(settings).items():
            with run_folder() as folder:
                rate = timed_scan(paths, mode, folder).steady
                run = open_run(folder)
                classified = int(np.sum(run.detections["classified"].to_numpy()))
                frames = run.frames.num_rows
            found[name]["frames_per_s"].append(rate)
            found[name]["classified_per_frame"] = classified / frames
            say(f"round {number + 1}: gun-free footage, {name}: {rate:.1f} frames/s")
    return {"clips": len(paths), "frames": frames, "modes": found}


def gun_free_table(figures: dict[str, Any]) -> str:
    """Medians, and the median of each round's ratio to the detector alone, as Markdown."""
    alone = figures["modes"][ALONE]["frames_per_s"]
    lines = [
        f"{figures['clips']} clips, {figures['frames']} frames, one after the other.",
        "",
        "| scan | frames/s | boxes classified a frame | time over detector only |",
        "|---|---|---|---|",
    ]
    for name, mode in figures["modes"].items():
        rates, boxes = mode["frames_per_s"], mode["classified_per_frame"]
        over = median(a / b for a, b in zip(alone, rates, strict=True)) - 1
        lines.append(f"| {name} | {median(rates):.1f} | {boxes:.2f} | {100 * over:+.1f} % |")
    return "\n".join(lines)
