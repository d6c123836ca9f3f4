"""What is measured in processes of their own: peers, and the memory of a scan."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.bench.measure import run_folder
from forensics.errors import BenchError

Say = Callable[[str], None]


def peer_rate(clip: Path, engine: str, n_frames: int, say: Say) -> float | None:
    """`yolo predict` of ultralytics: same weights, size and clip; None where it is missing."""
    command = [sys.executable, "-m", "forensics.bench.peer", str(clip), engine, str(n_frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        say(f"ultralytics predict, {engine}: not available: {reason}")
        return None
    return float(json.loads(done.stdout.splitlines()[-1])["frames_per_s"])


@dataclass(frozen=True, slots=True)
class Watched:
    """A scan seen from outside: peak memory (PSS, decoders and all), frames, frames/s, log bytes.

    The rate is without opening the networks.
    """

    peak_mib: float
    frames: int
    frames_per_s: float
    frame_log_bytes: int


def watched_scan(clip: Path, options: Sequence[str] = ()) -> Watched:
    """Run `forensics scan` on a clip and watch its memory, ten times a second."""
    with run_folder() as folder:
        run = folder / "run"
        command = [sys.executable, "-m", "forensics.cli.main", "scan", str(clip), *options]
        process = subprocess.Popen(
            [*command, "--out", str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _tree_pss_mib(process.pid))
            time.sleep(0.1)
        if process.returncode:
            said = process.stderr.read().decode() if process.stderr else ""
            raise BenchError(f"a scan left with {process.returncode}: {said.strip()[-200:]}")
        timings = json.loads((run / "timings.json").read_bytes())
        frames = int(timings["frames"])
        written = sum(path.stat().st_size for path in run.glob("frames/*.parquet"))
    return Watched(peak, frames, frames / timings["elapsed_s"], written)


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
