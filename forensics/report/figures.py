"""Curves of both arms over the detector threshold, as SVG pictures with a table of their points."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from forensics.report.model import Plot
from forensics.report.wording import number, percent, threshold
from forensics.types import OperatingPoint

WIDTH_IN, HEIGHT_IN, DPI = 4.6, 3.5, 96
TABLE_POINTS = 24
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
ARM_NAMES = {"detector": "Detector alone", "cascade": "Cascade"}
# Okabe and Ito's blue and vermilion, lighter on dark; the arms differ in dash and marker too.
LIGHT = {"ink": "#30373d", "grid": "#e3e6e8", "detector": "#0072b2", "cascade": "#c4500c"}
DARK = {"ink": "#c9d0d6", "grid": "#343b42", "detector": "#56b4e9", "cascade": "#f0914a"}
DASH = {"detector": (0, (5, 2)), "cascade": "solid"}
MARKER = {"detector": "s", "cascade": "o"}


@dataclass(frozen=True, slots=True)
class Axes:
    """What one plot shows: columns of the curves, and how they are said."""

    key: str
    title: str
    x: str
    y: str
    x_label: str
    y_label: str
    caption: str
    level: str
    log_x: bool = False
    log_y: bool = False


AXES = (
    Axes(
        "false-alarms", "False alarms over the detector threshold", "threshold",
        "frame_false_per_million", "detector threshold", "false-alarm frames per million",
        "Lower is better.", "", log_y=True,
    ),
    Axes(
        "trade-off", "Recall against false alarms", "frame_false_per_million", "frame_recall",
        "false-alarm frames per million", "recall of frames with a target",
        "Up and to the left is better.", "frame", log_x=True,
    ),
    Axes(
        "frames", "Precision and recall of frames", "frame_recall", "frame_precision",
        "recall of frames with a target", "precision of alarm frames",
        "Up and to the right is better.", "frame",
    ),
    Axes(
        "boxes", "Precision and recall of boxes", "box_recall", "box_precision",
        "recall of target boxes", "precision of boxes", "Up and to the right is better.", "box",
    ),
)  # fmt: skip


def plots(
    curves: pd.DataFrame, point: OperatingPoint, words: dict[str, str], least_rate: float
) -> tuple[Plot, ...]:
    """Every plot; one whose figures are not defined says so instead.

    `words` gives, for each level, the word on planted positives; `least_rate` is one false alarm
    among all negative frames, per million: below it a log axis is linear and reaches zero.
    """
    return tuple(_plot(axes, curves, point, words.get(axes.level, ""), least_rate) for axes in AXES)


def _plot(
    axes: Axes, curves: pd.DataFrame, point: OperatingPoint, word: str, least_rate: float
) -> Plot:
    lines = defined_lines(axes, curves)
    caption = axes.caption + (f" The positives are {word}." if word else "")
    columns, rows = _table(axes, lines, point)
    plot = Plot(
        key=axes.key, title=axes.title, caption=caption, alt=_alt(axes, lines, point),
        light="", dark="", width=round(WIDTH_IN * DPI), height=round(HEIGHT_IN * DPI),
        columns=columns, rows=rows,
    )  # fmt: skip
    if not lines:
        missing = f"Not drawn: {axes.y_label} or {axes.x_label} is not defined with this truth."
        return _replaced(plot, missing=missing)
    light, dark = (_draw(axes, lines, point, theme, least_rate) for theme in (LIGHT, DARK))
    return _replaced(plot, light=light, dark=dark)


def _replaced(plot: Plot, **changes: Any) -> Plot:
    return Plot(**({name: getattr(plot, name) for name in Plot.__slots__} | changes))


def defined_lines(axes: Axes, curves: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The defined points of each arm, by ascending threshold."""
    lines = {}
    for arm in ARM_NAMES:
        line = curves[curves["arm"] == arm].dropna(subset=[axes.x, axes.y])
        if len(line):
            lines[arm] = line.sort_values("threshold", kind="stable")
    return lines


def _at_point(line: pd.DataFrame, point: OperatingPoint) -> pd.Series | None:
    """The point of a line at the operating point, if the line reaches it."""
    at = line[line["threshold"] == np.float32(point.detector)]
    return at.iloc[0] if len(at) else None


def _draw(
    axes: Axes,
    lines: dict[str, pd.DataFrame],
    point: OperatingPoint,
    theme: dict[str, str],
    least_rate: float,
) -> str:
    settings: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": axes.key, "font.size": 9.5,
        "font.family": "DejaVu Sans", "axes.edgecolor": theme["grid"],
        "text.color": theme["ink"], "axes.labelcolor": theme["ink"],
        "xtick.color": theme["ink"], "ytick.color": theme["ink"],
    }  # fmt: skip
    with mpl.rc_context(settings):
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
        FigureCanvasSVG(figure)
        draw_lines(figure.add_subplot(), axes, lines, point, theme, least_rate)
        buffer = io.BytesIO()
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    svg = buffer.getvalue().decode().replace("'DejaVu Sans'", FONT.replace('"', "'"))
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def draw_lines(
    panel: Any,
    axes: Axes,
    lines: dict[str, pd.DataFrame],
    point: OperatingPoint,
    theme: dict[str, str],
    least_rate: float,
) -> None:
    """Draw the lines of both arms on matplotlib axes, the operating point marked on each."""
    for arm, line in lines.items():
        at = np.flatnonzero(line["threshold"] == np.float32(point.detector))[:1].tolist()
        panel.plot(
            line[axes.x], line[axes.y], label=ARM_NAMES[arm], color=theme[arm],
            linestyle=DASH[arm], linewidth=1.9, marker=MARKER[arm], markevery=at,
            markersize=7.5, markeredgecolor=theme["ink"], markeredgewidth=0.9,
            drawstyle="steps-post" if axes.x == "threshold" else "default",
        )  # fmt: skip
    _dress(panel, axes, theme, least_rate)


def _dress(panel: Any, axes: Axes, theme: dict[str, str], least_rate: float) -> None:
    """Scales, ticks, grid and legend."""
    panel.grid(color=theme["grid"], linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(length=0)
    panel.set_xlabel(axes.x_label)
    panel.set_ylabel(axes.y_label)
    for name, log, column in (("x", axes.log_x, axes.x), ("y", axes.log_y, axes.y)):
        axis, limits = getattr(panel, f"{name}axis"), getattr(panel, f"set_{name}lim")
        if log:
            scale = getattr(panel, f"set_{name}scale")
            scale("symlog", linthresh=least_rate, linscale=0.4)
            low = getattr(panel, f"get_{name}lim")()[0]
            limits(left=0) if name == "x" else limits(bottom=0 if low < least_rate else None)
            axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
            axis.set_minor_locator(mpl.ticker.NullLocator())
        elif column != "threshold":
            limits(-0.02, 1.02)
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    panel.legend(frameon=False, fontsize=9, loc="best")


def _cell(column: str, value: float) -> str:
    if column == "threshold":
        return threshold(value)
    return number(value) if column.endswith("million") else percent(value)


def _alt(axes: Axes, lines: dict[str, pd.DataFrame], point: OperatingPoint) -> str:
    """The plot in words: where each arm stands at the operating point and at its ends."""
    said = [f"{axes.title}: {axes.y_label} against {axes.x_label}."]
    for arm, line in lines.items():
        at = _at_point(line, point)
        ends = [_cell(axes.y, line[axes.y].iloc[row]) for row in (0, -1)]
        text = f"{ARM_NAMES[arm]}: from {ends[0]} at the lowest threshold to {ends[1]}"
        if at is not None:
            text += f"; at the operating point {_cell(axes.y, at[axes.y])}"
            if axes.x != "threshold":
                text += f" at {_cell(axes.x, at[axes.x])} {axes.x_label}"
        said.append(text + ".")
    return " ".join(said)


def _table(
    axes: Axes, lines: dict[str, pd.DataFrame], point: OperatingPoint
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Points of the plot, thinned evenly; the ends and the operating point are always there."""
    shown = [name for name in ("threshold", axes.x, axes.y) if name]
    shown = list(dict.fromkeys(shown))
    labels = {"threshold": "detector threshold", axes.x: axes.x_label, axes.y: axes.y_label}
    rows = []
    for arm, line in lines.items():
        keep = np.linspace(0, len(line) - 1, min(TABLE_POINTS, len(line))).round().astype(int)
        own = np.flatnonzero(line["threshold"] == np.float32(point.detector))
        for place in np.union1d(keep, own[:1]).astype(int).tolist():
            values = line.iloc[place]
            mark = " (operating point)" if place in own[:1] else ""
            cells = [_cell(name, values[name]) for name in shown]
            rows.append((ARM_NAMES[arm] + mark, *cells))
    return ("arm", *(labels[name] for name in shown)), _freeze(rows)


def _freeze(rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    return tuple(rows)
