"""Run scans that are small enough for tests: tiny detector input, tiny segments, real networks."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forensics.cascade.definition import load_cascade
from forensics.footage.find import common_base, find_inputs
from forensics.scan.local import ScanResult, scan
from forensics.scan.settings import ScanSettings
from tests.support.clips import write_clip, write_still

IMGSZ = 64
SEGMENT_S = 0.5
COMMAND = [sys.executable, "-m", "tests.support.command"]
ROOT = Path(__file__).parents[2]
# What a scan does to the same footage must not depend on when it was interrupted.
REPEATABLE = ("frames/*.parquet", "detections/*.parquet", "media.parquet", "coverage.parquet")


class Silent:
    """A progress display that shows nothing and counts the frames."""

    def __init__(self) -> None:
        self.seen = 0
        self.rows: list[dict[str, Any]] = []

    def frames(self, n: int) -> None:
        self.seen += n

    def segment(self, footage_s: float) -> None:
        pass

    def file(self, row: dict[str, Any], size_bytes: int) -> None:
        self.rows.append(row)


def small_settings(**changes: Any) -> ScanSettings:
    """The bundled cascade at 64 pixels, with a floor low enough that something is found."""
    values: dict[str, Any] = {
        "cascade": load_cascade("handgun"),
        "backend": "onnxruntime",
        "backend_why": "test",
        "floor": 0.0001,
        "gate": 0.004,
        "imgsz": IMGSZ,
        "max_detections": 2,
        "segment_s": SEGMENT_S,
        "batch": 4,
        "threads": 1,
    }
    return ScanSettings(**{**values, **changes})


def run_small_scan(
    paths: Sequence[Path] | Path,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Silent | None = None,
    argv: Sequence[str] = (),
    **changes: Any,
) -> ScanResult:
    """Scan in this process."""
    roots = [paths] if isinstance(paths, Path) else list(paths)
    inputs = find_inputs(roots, recursive=True)
    return scan(
        inputs,
        common_base(roots),
        out,
        small_settings(**changes),
        progress=progress or Silent(),
        argv=argv,
        overwrite=overwrite,
    )


def small_archive(folder: Path) -> Path:
    """Three clips, a copy of one of them and a folder of stills."""
    for camera in ("gate", "yard", "stills"):
        (folder / camera).mkdir(parents=True)
    write_clip(folder / "gate" / "one.mp4", frames=45)
    times = [n / 25 + 0.01 * (n % 3) for n in range(30)]
    write_clip(folder / "gate" / "two.mkv", frames=30, times_s=times, size=(160, 96))
    write_clip(folder / "yard" / "three.ts", frames=40, size=(128, 128))
    (folder / "yard" / "copy.mp4").write_bytes((folder / "gate" / "one.mp4").read_bytes())
    for number in range(6):
        write_still(folder / "stills" / f"{number}.jpg", number, size=(120, 90))
    return folder


def fingerprint(run: Path) -> dict[str, str]:
    """SHA-256 of every file of the log that must be repeatable."""
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in REPEATABLE
        for path in sorted(run.glob(pattern))
    }


def scan_arguments(archive: Path, out: Path) -> list[str]:
    """Command-line arguments of a small scan, to follow `COMMAND`."""
    options = f"--imgsz {IMGSZ} --floor 0.0001 --gate 0.004 --max-det 2 --batch 4 --threads 1"
    fixed = f"--recursive --backend onnxruntime {options}"
    return ["scan", str(archive), "--out", str(out), *fixed.split()]


def start_command(arguments: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Start the real command line, with segments of half a second, in a process of its own.

    Ctrl-C reaches it even where these tests run in the background, where shells switch it off.
    """
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def run_command(arguments: Sequence[str], **options: Any) -> tuple[int, str, str]:
    """Run the real command line to its end: exit code, output, error output."""
    process = start_command(arguments, **options)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors
