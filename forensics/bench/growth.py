"""How speed, memory and log grow: with the length of the footage, and with boxes a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from forensics.bench.clips import FPS, make_clip
from forensics.bench.measure import run_folder, timed_scan
from forensics.bench.processes import Say, watched_scan
from forensics.runlog.reader import open_run
from forensics.scan.settings import ScanSettings

SMALL = (160, 120)
SMALL_IMGSZ = 64  # so that an hour of footage is scanned in minutes; the log is that of any scan
LOWEST_FLOOR = 1e-6  # what lies above it is more than any frame is asked for here
BOXES = (1, 2, 4, 8)


def by_length(source: Path, folder: Path, minutes: Sequence[int], say: Say) -> list[dict[str, Any]]:
    """Scans of small clips of so many minutes: frames/s, peak memory, log bytes a frame."""
    rows = []
    for length in minutes:
        clip = make_clip(source, folder / f"{length}min.mp4", 60 * FPS * length, SMALL)
        seen = watched_scan(clip, ["--imgsz", str(SMALL_IMGSZ)])
        rows.append(
            {
                "minutes": length,
                "frames": seen.frames,
                "frames_per_s": seen.frames_per_s,
                "peak_memory_mib": seen.peak_mib,
                "log_bytes_per_frame": seen.frame_log_bytes / seen.frames,
            }
        )
        say(f"{length} min: {seen.frames_per_s:.0f} frames/s, {seen.peak_mib:.0f} MiB")
    return rows


def by_boxes(clip: Path, settings: ScanSettings, say: Say) -> list[dict[str, Any]]:
    """Scans in which a given number of boxes of each frame is logged and classified."""
    rows = []
    for wanted in (0, *BOXES):
        changed = replace(settings, detector_only=True)
        if wanted:
            changed = replace(
                settings, floor=LOWEST_FLOOR, gate=LOWEST_FLOOR, max_detections=wanted
            )
        with run_folder() as folder:
            timing = timed_scan(clip, changed, folder)
            run = open_run(folder)
            written = sum(path.stat().st_size for path in folder.glob("detections/*.parquet"))
        classified = run.detections.num_rows if wanted else 0
        per_frame = classified / run.frames.num_rows
        rows.append(
            {
                "classified_per_frame": per_frame,
                "frames_per_s": timing.steady,
                "log_bytes_per_detection": written / classified if classified else None,
            }
        )
        say(f"{per_frame:.1f} boxes classified a frame: {timing.steady:.1f} frames/s")
    return rows
