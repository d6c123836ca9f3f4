"""Time and memory of surfaces, intervals and reports on a large log.

python -m forensics.bench.evaluation [--detections 10000000] [--log FOLDER] [--rounds 3] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from forensics.bench.processes import child_figures

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "reports" / "evaluation-benchmarks.json"
PAGE = ROOT / "reports" / "evaluation-benchmarks.md"
POINTS = 200 * 201
TASK = ("-m", "forensics.bench.tasks")

# name -> (what it is, goal in seconds, goal in MB)
LINES: dict[str, tuple[str, float | None, float | None]] = {
    "join": ("read the run, load the truth, join them", None, None),
    "box_frame": ("box and frame surfaces, 200 x 200", 5, 1000),
    "events": ("event surfaces, 50 x 50 (with box and frame)", 10, None),
    "bootstrap": ("2,000 bootstrap replicates of a 50 x 50 surface", 5, None),
    "evaluate": ("`forensics evaluate`, the whole command", None, None),
    "report": ("`forensics report --truth`, the whole command", 60, None),
}
PAGE_GOAL_MB = 15


def main() -> None:
    """Measure, print the table, with --write keep it under reports/."""
    parser = argparse.ArgumentParser(prog="forensics.bench.evaluation", description=__doc__)
    parser.add_argument("--detections", type=int, default=10_000_000)
    parser.add_argument("--log", type=Path, help="keep the synthetic log here, or use it again")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write reports/evaluation-*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        figures = measure(options.log or Path(folder), options.detections, options.rounds)
    print(table(figures))
    if options.write:
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
        PAGE.write_text(page(figures))


def measure(folder: Path, detections: int, rounds: int) -> dict[str, Any]:
    """Every line `rounds` times, each time in a process of its own; medians, worst memory."""
    written = make(folder / "log", detections)
    small = make(folder / "warm", 3000)
    for name in (*LINES, "naive", "anew"):  # compiles the kernels, which are kept on disk
        once(name, small, folder)
    found: dict[str, Any] = {}
    for name in (*LINES, "naive", "anew"):
        runs = [once(name, written, folder) for _ in range(rounds)]
        found[name] = {
            key: max(run[key] for run in runs)
            if key == "peak_mb"
            else median(run[key] for run in runs)
            for key in runs[0]
        }
        found[name]["rounds_s"] = [run["seconds"] for run in runs]
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    join = found["join"]
    return {
        "command": "python -m forensics.bench.evaluation "
        f"--detections {detections} --rounds {rounds}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {platform.platform()}",
        "detections": join["detections"],
        "frames": join["frames"],
        "videos": written["videos"],
        "log_mb": written["mb"],
        "measured": found,
        "page_mb": (folder / "page.html").stat().st_size / 1e6,
        "naive_s": found["naive"]["cpu_s"] / found["naive"]["points"] * POINTS,
        "anew_s": found["anew"]["cpu_s"] / found["anew"]["points"] * POINTS,
    }


def make(folder: Path, detections: int) -> dict[str, Any]:
    """Write the synthetic log in a process of its own, or find it there."""
    code = (
        "import sys, json; from pathlib import Path; from forensics.bench.synthetic import *\n"
        "size = Size.of(int(sys.argv[2])); run, truth = make_log(Path(sys.argv[1]), size)\n"
        "mb = sum(p.stat().st_size for p in run.rglob('*') if p.is_file()) / 1e6\n"
        "print(json.dumps({'run': str(run), 'truth': [str(t) for t in truth], 'mb': mb,"
        " 'videos': size.videos}))"
    )
    return child_figures(["-c", code, str(folder), str(detections)])


def once(name: str, log: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One measurement of one line."""
    if name in {"evaluate", "report"}:
        truth = [word for path in log["truth"] for word in ("--truth", path)]
        rest = ["--out", str(folder / ("page.html" if name == "report" else "figures.txt"))]
        return child_figures([*TASK, "command", name, log["run"], *truth, *rest])
    return child_figures([*TASK, name, log["run"], *log["truth"]])


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"{figures['detections']:,} detections over {figures['frames']:,} frames in "
        f"{figures['videos']} videos ({figures['log_mb']:.0f} MB on disk)",
        f"{figures['machine']}; {figures['date']}",
        "",
        "| | s, median | of processors | goal | peak MB | goal |",
        "|---|---|---|---|---|---|",
    ]
    for name, (words, seconds, megabytes) in LINES.items():
        row = figures["measured"][name]
        before = "before_" if name == "join" else ""
        spent = row["before_s" if before else "seconds"]
        lines.append(
            f"| {words} | {spent:.2f} | {row[f'{before}cpu_s']:.2f} | {_goal(seconds)} "
            f"| {row['peak_mb']:.0f} | {_goal(megabytes)} |"
        )
    fast = figures["measured"]["box_frame"]["cpu_s"]
    lines += [
        "",
        f"page: {figures['page_mb']:.1f} MB without pictures (goal: < {PAGE_GOAL_MB})",
        f"a mask per point, {POINTS:,} points: {figures['naive_s']:,.0f} s for survivors and alarm "
        f"frames alone, {figures['naive_s'] / fast:,.0f} times the surfaces",
        f"matching and events counted anew at each: {figures['anew_s']:,.0f} s, "
        f"{figures['anew_s'] / fast:,.0f} times",
    ]
    return "\n".join(lines)


def _goal(value: float | None) -> str:
    return "" if value is None else f"< {value:g}"


def page(figures: dict[str, Any]) -> str:
    """reports/evaluation-benchmarks.md."""
    return f"""# Evaluation of a large log

Made by `{figures["command"]} --write`.

Every line is a process of its own. Seconds are those of the thing named, with its compiled kernels
on disk (the first use on a machine compiles them, about a minute once); the peak is that of the
whole process, with what reading the run and the truth took before. The commands are timed without
the start of Python. The log is synthetic (`forensics/bench/synthetic.py`), written by the run
log's own writer in parts of 60 s; it has no footage, so that the page has no pictures: a report
shows at most 60 detections in each of two lists, two pictures of some 10 to 30 kB each.

"Of processors" are seconds of processor time, over all cores: on a machine that does other work
beside it, they say more than the wall's. The naive methods are timed at a few points, by processor
time, and scaled to the 200 x 201 points of the surfaces.

{table(figures)}
"""


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
