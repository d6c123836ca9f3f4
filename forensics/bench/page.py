"""The figures as Markdown and as a picture. The page is made from the JSON alone."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from forensics.bench.gun_free import gun_free_table
from forensics.bench.modes import modes_table
from forensics.bench.run import ALONE, ALONE_FP32, DECODE, FLOOR, GATED, INFERENCE, PEER

INTRO = """- D: bare PyAV decoding of the clip with one thread, frames thrown away.
- I: the detector on pictures of the clip in memory, all cores, nothing else running.
- Bound: 1/(1/D + 1/I), what decoding and inference cost when nothing overlaps and all else is free.
- Every round measures each line once, one after the other; figures are medians over the rounds,
  ratios medians of the ratios within each round. Absolute figures belong to the machine named.
- Scans: the rate once the pipeline is full, with decoding, hashing, log and commits, and without
  opening the networks, which is given beside it.
- `ultralytics predict`: weights, input size and clip as in our FP32 scan, in a process of its own,
  without its start-up and first frames. Its `openvino` computes in bfloat16 where the CPU has it;
  `openvino-fp32` is made to compute in single precision. Both are given the picture's shape, as our
  scan gives it; `openvino-square-fp32` computes all of 640 x 640, as a file exported by default
  does. `pytorch` runs a network of the same architecture with other weights, which cost the same.
- One image at a time: decode, letterbox, run, next; our engine and files, no overlap."""


def page(figures: dict[str, Any]) -> str:
    """reports/benchmarks.md."""
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Made by `{figures['command']}` on {figures['date']}.",
            "",
            f"{figures['clip']}; {figures['backend']}; batches of {figures['batch']}",
            "",
            figures["machine"],
            "",
            "![frames per second](benchmarks.svg)",
            "",
            INTRO,
            "",
            table(figures),
            "",
        ]
    )


def table(figures: dict[str, Any]) -> str:
    """Every part that was measured, as Markdown."""
    parts = [
        *(_speed(figures["speed"]) if "speed" in figures else ()),
        *_memory(figures),
        *(_length(figures["length"]) if "length" in figures else ()),
        *(_boxes(figures["boxes"]) if "boxes" in figures else ()),
        *(_skipping(figures["skipping"]) if "skipping" in figures else ()),
        *_gun_free(figures),
        *(["## Slower modes", "", modes_table(figures["modes"]), ""] if "modes" in figures else ()),
        *(f"- {note}" for note in figures["notes"]),
    ]
    return "\n".join(parts).rstrip()


def _speed(speed: dict[str, Any]) -> Iterable[str]:
    medians, bounds = speed["median_frames_per_s"], speed["bound_frames_per_s"]
    yield from ("## Speed", "", "| | frames/s | of the bound | opening, s |", "|---|---|---|---|")
    for name, value in medians.items():
        share, opening = speed["of_bound"].get(name), speed["opening_s"].get(name)
        yield f"| {name} | {value:.1f} | {_number(share, 3)} | {_number(opening, 2)} |"
    for name, value in bounds.items():
        yield f"| bound with {name} | {value:.1f} | 1 | — |"
    yield ""
    for name, cost in speed["cascade_cost"].items():
        share = speed["classifier_share"].get(name)
        yield (
            f"- {name}: {100 * cost:+.1f} % time over detector only; the classifier's own share "
            f"by the clock: {_percent(share)}"
        )
    n_rounds = max(map(len, speed["rounds"].values()))
    yield from ("", f"Our scan over others, {n_rounds} rounds:", "")
    yield from ("| over | default files | fp32 files |", "|---|---|---|")
    for name, ratios in speed["over_peer"].items():
        default, reference = ratios[ALONE], ratios[ALONE_FP32]
        yield f"| {name} | {_number(default, 2)} x | {_number(reference, 2)} x |"
    yield ""


def _memory(figures: dict[str, Any]) -> Iterable[str]:
    if "peak_memory_mib" in figures:
        yield f"Peak memory of the scan of this clip: {figures['peak_memory_mib']:.0f} MiB."
        yield ""


def _length(rows: list[dict[str, Any]]) -> Iterable[str]:
    yield from ("## Length of the footage", "")
    yield from (
        "Small pictures (160x120, input 64 pixels), so that the log is what grows.",
        "",
        "| minutes | frames | frames/s | peak memory, MiB | log bytes a frame |",
        "|---|---|---|---|---|",
    )
    for row in rows:
        yield (
            f"| {row['minutes']} | {row['frames']} | {row['frames_per_s']:.0f} | "
            f"{row['peak_memory_mib']:.0f} | {row['log_bytes_per_frame']:.1f} |"
        )
    yield ""


def _boxes(rows: list[dict[str, Any]]) -> Iterable[str]:
    yield from ("## Boxes a frame", "")
    yield from (
        "| boxes classified a frame | frames/s | log bytes a detection, all columns |",
        "|---|---|---|",
    )
    for row in rows:
        per_detection = _number(row["log_bytes_per_detection"], 1)
        yield (
            f"| {row['classified_per_frame']:.1f} | {row['frames_per_s']:.1f} | {per_detection} |"
        )
    yield ""


def _skipping(rows: list[dict[str, Any]]) -> Iterable[str]:
    whole = rows[0]
    yield from ("## The static-scene gate on labelled footage", "")
    yield from (
        f"{whole['frames']} frames; {whole['cascade']['incidents']} incidents. A frame is passed "
        "over while it has changed by less than the threshold since the last one processed.",
        "",
        "| threshold, grey levels | refresh, s | frames skipped | alarm frames, detector / cascade "
        "| incidents found | false alerts |",
        "|---|---|---|---|---|---|",
    )
    for row in rows:
        arms = [row[arm] for arm in ("detector", "cascade")]
        alarms, found, false = (
            " / ".join(str(arm[key]) for arm in arms)
            for key in ("alarm_frames", "detected", "false_alerts")
        )
        name = "no gate" if row["threshold"] is None else f"{row['threshold']:g}"
        share = f"{row['skipped']} ({_percent(row['skipped'] / row['frames'])})"
        refresh = _number(row["refresh_s"], 1)
        yield f"| {name} | {refresh} | {share} | {alarms} | {found} | {false} |"
    yield ""


def _gun_free(figures: dict[str, Any]) -> Iterable[str]:
    if "gun_free" in figures:
        yield from ("## Footage without guns", "", gun_free_table(figures["gun_free"]), "")


def plot(figures: dict[str, Any]) -> bytes:
    """An SVG picture: frames/s of every line, and how speed goes with boxes a frame."""
    medians = figures["speed"]["median_frames_per_s"]
    shown = {name: value for name, value in medians.items() if name != DECODE}
    boxes = figures.get("boxes", [])
    with mpl.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(9.0, 0.3 * len(shown) + 1.2), layout="constrained")
        bars, curve = figure.subplots(1, 2, width_ratios=(3, 1))
        names = list(shown)[::-1]
        bars.barh(names, [shown[name] for name in names], color=[_colour(n) for n in names])
        bound = figures["speed"]["bound_frames_per_s"][INFERENCE]
        bars.axvline(bound, color="#30373d", linestyle=(0, (4, 2)), linewidth=1)
        bars.set_xlabel("frames/s; dashed: the bound")
        curve.plot(
            [row["classified_per_frame"] for row in boxes],
            [row["frames_per_s"] for row in boxes],
            marker="o",
            color="#0072b2",
        )
        curve.set_ylim(bottom=0)
        curve.set_xlabel("boxes classified a frame")
        curve.set_ylabel("frames/s")
        out = io.BytesIO()
        FigureCanvasSVG(figure)
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _colour(name: str) -> str:
    if name.startswith(PEER):
        return "#9aa3ab"
    return "#0072b2" if name in (ALONE, GATED, FLOOR) else "#7fb2d6"


def _number(value: float | None, digits: int) -> str:
    return "—" if value is None else f"{value:.{digits}f}"


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.1f} %"
