"""What is measured in processes of their own: peers, and the memory of a scan."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forensics.bench.measure import run_folder
from forensics.errors import BenchError

Say = Callable[[str], None]


def child_figures(arguments: Sequence[str]) -> dict[str, Any]:
    """What Python with these arguments prints as its last line, JSON. Raises BenchError."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchError(f"{arguments} failed: {done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


class Peer:
    """`yolo predict` of ultralytics on a clip: same weights, size and clip. Use in a `with`.

    Started at once, and kept for all rounds. Where it is missing, `rate` is None and `why` says so.
    """

    def __init__(self, clip: Path, engine: str) -> None:
        command = [sys.executable, "-m", "forensics.bench.peer", str(clip), engine]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.why = "" if self._answer() == "ready" else self._last_words()

    def rate(self, n_frames: int) -> float | None:
        """Frames/s over `n_frames`; None where the peer is missing or has died."""
        if self.why or self._process.stdin is None:
            return None
        try:
            print(n_frames, file=self._process.stdin, flush=True)
            return float(json.loads(self._answer())["frames_per_s"])
        except (BrokenPipeError, ValueError):
            self.why = self._last_words()
            return None

    def _answer(self) -> str:
        """The next line that is an answer; some engines print lines of their own."""
        for line in self._process.stdout or ():
            if line == "ready\n" or line.startswith('{"frames_per_s"'):
                return line.strip()
        return ""

    def _last_words(self) -> str:
        self._process.kill()
        _, said = self._process.communicate()
        return (said.strip().splitlines() or ["it gave no reason"])[-1]

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


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
    """Run `forensics scan` on a clip and watch its memory, dozens of times a second."""
    with run_folder() as folder:
        run = folder / "run"
        command = [sys.executable, "-m", "forensics.cli.main", "scan", str(clip), *options]
        process = subprocess.Popen(
            [*command, "--out", str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _tree_pss_mib(process.pid))
            time.sleep(0.02)  # a minute of small pictures takes two seconds
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
