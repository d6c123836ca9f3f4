"""Plots of a study on matplotlib axes, which they return: curves and forest plots of both arms.

Colours and marks of the arms are those of the report, and can be told apart by everyone.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.ticker import PercentFormatter

from forensics.errors import ForensicsError
from forensics.evaluation.grid import typed
from forensics.evaluation.levels import ARMS, CASCADE, DETECTOR
from forensics.evaluation.prepare import Prepared
from forensics.report.figures import ARM_NAMES, LIGHT, MARKER, Axes, defined_lines, draw_lines
from forensics.report.planted import Planted
from forensics.types import OperatingPoint

SIZE = (6.4, 4.6)
PALE = [patheffects.withStroke(linewidth=2.6, foreground="white")]
SIDES = {DETECTOR: -0.16, CASCADE: 0.16}
STRATA = {
    "camera": ("camera", "false alarms by camera"),
    "height": ("object height px",),
    "suspect": ("suspect frames", "false alarms by suspect frames"),
}
STRATA_LABELS = {"camera": "camera", "height": "object height, px in the footage",
                 "suspect": "frames from damaged data"}  # fmt: skip
TRADE_OFFS = {
    "frame": ("frame_false_per_million", "frame_recall", "frame_tp", "frame_fp",
              "false-alarm frames per million", "recall of frames with a target"),
    "event": ("frame_false_per_million", "incident_recall", "incidents_detected", "frame_fp",
              "false-alarm frames per million", "recall of incidents"),
    "box": ("box_false_per_million", "box_recall", "box_tp", "box_fp",
            "false boxes per million frames", "recall of target boxes"),
}  # fmt: skip


def strata_of(by: str) -> tuple[str, ...]:
    """Names of the strata of one kind: of recall, and of false alarms if there are such."""
    if by not in STRATA:
        raise ForensicsError(f"unknown strata {by!r}; give one of {', '.join(STRATA)}")
    return STRATA[by]


def new_axes(ax: Any, size: tuple[float, float] = SIZE) -> Any:
    """The given axes, or those of a new figure."""
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def trade_off(
    ax: Any,
    table: pd.DataFrame,
    prepared: Prepared,
    point: OperatingPoint,
    level: str,
    planted: Planted,
) -> Any:
    """Recall against false alarms of both arms, the operating point with its counts."""
    if level not in TRADE_OFFS:
        raise ForensicsError(f"unknown level {level!r}; give one of {', '.join(TRADE_OFFS)}")
    x, y, hits, false, x_label, y_label = TRADE_OFFS[level]
    totals = {
        "frame": int(prepared.ledger.positive.sum()),
        "event": len(prepared.incidents),
        "box": int(prepared.pairs.n_gt.sum()),
    }
    ledger = prepared.ledger
    exposure = int((ledger.box_frames if level == "box" else ledger.negative).sum())
    word = planted.word(level)
    said = f"{y_label} (of {totals[level]:,}{f', {word}' if word else ''})"
    axes = Axes("trade-off", "", x, y, f"{x_label} (of {exposure:,} frames)", said, "", level,
                log_x=True)  # fmt: skip
    lines = defined_lines(axes, table)
    ax = new_axes(ax)
    if not lines:
        return say_why(ax, f"{y_label} or {x_label} is not defined with this truth")
    draw_lines(ax, axes, lines, point, LIGHT, 1e6 / max(exposure, 1))
    for arm, line in lines.items():
        here = line[line["threshold"] == np.float32(point.detector)]
        if len(here):
            row = here.iloc[0]
            away, side = ((10, -16), "left") if arm == DETECTOR else ((-8, 9), "right")
            ax.annotate(
                f"{row[hits]:,.0f} found, {row[false]:,.0f} false", (row[x], row[y]),
                xytext=away, ha=side, textcoords="offset points", fontsize=8.5,
                color=LIGHT[arm], path_effects=PALE,
            )  # fmt: skip
    handles, labels = ax.get_legend_handles_labels()
    if point.classifier is not None:
        fixed = f" (classifier ≥ {typed(point.classifier)})"
        labels = [name + fixed if name == ARM_NAMES[CASCADE] else name for name in labels]
    ax.legend(handles, labels, frameon=False, fontsize=9, loc="lower right")
    ax.set_title(f"Detector threshold varies; marked: ≥ {typed(point.detector)}", fontsize=10)
    return ax


def forest(
    ax: Any, table: pd.DataFrame, by: str, *, false_alarms: bool, confidence: float
) -> Any:
    """Shares of both arms by part, with pooled Wilson limits (of `confidence`) and counts."""
    names = strata_of(by)
    if false_alarms and len(names) < 2:
        raise ForensicsError(f"false alarms are not divided by {by}: they have no object")
    shown = table[table["stratum"] == names[1 if false_alarms else 0]]
    shown = shown[shown["total"] > 0]
    parts = list(dict.fromkeys(shown["part"]))
    ax = new_axes(ax, (6.8, 1.4 + 0.42 * max(len(parts), 3)))
    if not parts:
        return say_why(ax, "no part has such frames or boxes")
    for arm in ARMS:
        rows = shown[shown["arm"] == arm]
        y = np.array([parts.index(part) for part in rows["part"]]) + SIDES[arm]
        away = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        ax.errorbar(rows["value"], y, xerr=np.maximum(away, 0), fmt=MARKER[arm], color=LIGHT[arm],
                    markersize=5.5, capsize=2.5, linewidth=1.4, label=ARM_NAMES[arm])  # fmt: skip
        for at, hits, total in zip(y, rows["hits"], rows["total"], strict=True):
            ax.text(1.02, at, f"{hits:,}/{total:,}", transform=ax.get_yaxis_transform(),
                    va="center", fontsize=8, color=LIGHT[arm])  # fmt: skip
    ax.set_yticks(range(len(parts)), parts)
    ax.set_ylim(len(parts) - 0.45, -0.55)
    ax.set_xlim(left=0, right=None if false_alarms else 1.015)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    what = "boxes found" if by == "height" else "frames with a target that alarm"
    what = "frames without a target that alarm" if false_alarms else f"target {what}"
    bars = f"bars: {100 * confidence:g} %, pooled"
    ax.set_xlabel(f"share of {what.replace('target frames', 'frames')}; {bars}")
    ax.set_ylabel(STRATA_LABELS[by])
    ax.grid(axis="x", color=LIGHT["grid"], linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax


def say_why(ax: Any, why: str) -> Any:
    """Empty axes that say why."""
    ax.text(0.5, 0.5, f"Not drawn: {why}.", ha="center", va="center", wrap=True,
            transform=ax.transAxes)  # fmt: skip
    ax.set_axis_off()
    return ax
