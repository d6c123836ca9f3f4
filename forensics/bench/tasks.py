"""One measurement of evaluation in a process of its own.

python -m forensics.bench.tasks NAME RUN TRUTH ...

Prints JSON: `seconds` of the thing measured, `before_s` spent on reading the run and joining it to
the truth, and `peak_mb`, the most memory (resident set) that this process ever held.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from forensics.evaluation.prepare import Prepared, prepare
from forensics.evaluation.replicates import ratio_band
from forensics.evaluation.surface import surfaces, surfaces_by_counting
from forensics.runlog.reader import open_run
from forensics.truth.load import load_truth

REPLICATES, NAIVE_POINTS = 2000, 4
Figures = dict[str, Any]


def grid(points: int) -> tuple[list[float], list[float]]:
    """Detector thresholds from the floor up, classifier thresholds from 0 up."""
    return np.linspace(0.05, 0.99, points).tolist(), np.linspace(0.0, 0.99, points).tolist()


def timed(work: Callable[[], Any]) -> Figures:
    """Seconds by the wall, and by the processors: on a busy machine only the latter mean much."""
    started, spent = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - spent,
    }


def join(prepared: Prepared) -> Figures:
    """Nothing more than reading and joining."""
    log = prepared.log
    return {"seconds": 0.0, "cpu_s": 0.0, "detections": len(log.score), "frames": len(log.ok)}


def box_frame(prepared: Prepared) -> Figures:
    return timed(lambda: surfaces(prepared, *grid(200), events=False))


def events(prepared: Prepared) -> Figures:
    """All three levels at once; box and frame level are a small part of it."""
    return timed(lambda: surfaces(prepared, *grid(50)))


def bootstrap(prepared: Prepared) -> Figures:
    """Limits at every point of a 50 x 50 surface by camera."""
    counts = surfaces(prepared, *grid(50), by_camera=True)
    cameras = len(prepared.log.camera_names)
    return {"cameras": cameras} | timed(
        lambda: ratio_band(counts, "false_alerts", "hours_negative", replicates=REPLICATES, seed=1)
    )


def naive(prepared: Prepared) -> Figures:
    """A mask per point: survivors, and the frames that they alarm on. No matching, no events."""
    log = prepared.log
    detector, classifier = grid(NAIVE_POINTS)

    def count() -> None:
        for at_detector, at_classifier in zip(detector, classifier, strict=True):
            alive = (log.score >= np.float32(at_detector)) & (
                log.target >= np.float32(at_classifier)
            )
            int(alive.sum()), len(np.unique(log.det_frame[alive]))

    figures = timed(count)
    return {"points": NAIVE_POINTS} | figures


def anew(prepared: Prepared) -> Figures:
    """Matching, frames and events counted anew at every point: the reference of the tests."""
    return {"points": 2} | timed(lambda: surfaces_by_counting(prepared, [0.25], [0.5]))


def peak_mb() -> float:
    """The most memory this process ever held. Not getrusage: that starts with the parent's."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1000 if found else float("nan")


TASKS: dict[str, Callable[[Prepared], Figures]] = {
    "join": join,
    "box_frame": box_frame,
    "events": events,
    "bootstrap": bootstrap,
    "naive": naive,
    "anew": anew,
}


def command(arguments: list[str]) -> Figures:
    """A command of the suite in this process, its output thrown away."""
    from forensics.cli.main import run

    def work() -> None:
        if code := run(arguments):
            sys.exit(code)

    return timed(work) | {"peak_mb": peak_mb()}


def main() -> None:
    name, run, *truth = sys.argv[1:]
    if name == "command":
        figures = command([run, *truth])
    else:
        started, spent = time.perf_counter(), time.process_time()
        prepared = prepare(open_run(run), load_truth(truth))
        before = {
            "before_s": time.perf_counter() - started,
            "before_cpu_s": time.process_time() - spent,
        }
        figures = before | TASKS[name](prepared) | {"peak_mb": peak_mb()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
