"""Plots of a surface: a heat map over both thresholds, and all pairs as a cloud of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.ticker import FuncFormatter, PercentFormatter

from forensics.evaluation.levels import DETECTOR
from forensics.evaluation.log import Floats
from forensics.report.figures import ARM_NAMES, DASH, LIGHT
from forensics.report.wording import number
from forensics.study.plots import new_axes, say_why

if TYPE_CHECKING:
    from forensics.study.surface import Surface

OUTLINE = [patheffects.withStroke(linewidth=2.2, foreground="#1b1f23")]
MOST_CONTOURS = 5
HEAT_STEPS = 20  # colours of 5 % each can be told apart; a smooth scale cannot be read off
OFF_GAP, OFF_WIDTH = 0.05, 0.035  # of the detector-only column, in units of the threshold


def heat_map(ax: Any, surface: Surface) -> Any:
    """Recall over both thresholds; the detector alone is the column set apart on the left."""
    ax = new_axes(ax, (7.0, 5.0))
    names, recall = surface.names, surface.recall
    if np.isnan(recall).all():
        return say_why(ax, f"truth has no {_plural(names.found)} here")
    on_c, on_d = surface.classifier[1:].astype(float), surface.detector.astype(float)
    left = float(on_c[0]) - OFF_GAP
    shown = {"cmap": plt.get_cmap("cividis", HEAT_STEPS), "vmin": 0.0, "vmax": 1.0}
    d_edges = _edges(on_d)
    ax.pcolormesh([left - OFF_WIDTH, left], d_edges, recall[:, :1], **shown)
    mesh = ax.pcolormesh(_edges(on_c), d_edges, recall[:, 1:], **shown)
    bar = ax.figure.colorbar(mesh, ax=ax, format=PercentFormatter(1.0), pad=0.02)
    word = f" ({surface.word})" if surface.word else ""
    bar.set_label(f"share of {surface.total:,} {_plural(names.found)}{word}")
    _contours(ax, surface, on_c, on_d)
    _marks(ax, surface, left - OFF_WIDTH / 2)
    ticks = [tick for tick in np.arange(0, 1.01, 0.2) if on_c[0] <= tick <= on_c[-1]]
    ax.set_xticks([left - OFF_WIDTH / 2, *ticks], ["off", *(f"{tick:g}" for tick in ticks)])
    ax.set_xlabel("classifier threshold (off: the detector alone)")
    ax.set_ylabel("detector threshold")
    ax.set_title(f"Recall, and lines of equal {names.alarms}\n({_exposure(surface)})", fontsize=10)
    return ax


def _exposure(surface: Surface) -> str:
    """What one false alarm is as a rate."""
    if not surface.exposure:
        return "no frame is without a target"
    one = number(surface.names.unit / surface.exposure)
    return f"one is {one} {surface.names.rate}"


def _plural(found: str) -> str:
    """`frames with a target that alarm` -> what these are a share of."""
    return found.removesuffix(" that alarm").removesuffix(" found")


def _edges(centres: Floats) -> Floats:
    """Cell edges around ascending grid values."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.01, centres[0] + 0.01])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[centres[0]], middle, [centres[-1] + (centres[-1] - middle[-1])]])


def contour_levels(most: int) -> list[int]:
    """At most five round counts from 1, 2, 5, 10, ... that lie below `most`."""
    round_counts = [m * 10**e for e in range(8) for m in (1, 2, 5) if m * 10**e < most]
    keep = np.linspace(0, len(round_counts) - 1, min(MOST_CONTOURS, len(round_counts)))
    return [round_counts[place] for place in np.unique(keep.round().astype(int))]


def _contours(ax: Any, surface: Surface, on_c: Floats, on_d: Floats) -> None:
    """Right of and above a line there are at most so many false alarms."""
    if min(len(on_c), len(on_d)) < 2:
        return
    false = np.ma.masked_where(~surface.valid[:, 1:], surface.false[:, 1:])
    levels = contour_levels(int(false.max())) if false.count() else []
    if not levels:
        return
    drawn = ax.contour(on_c, on_d, false, [level + 0.5 for level in levels], colors="white",
                       linewidths=1.3)  # fmt: skip
    drawn.set_path_effects(OUTLINE)
    said = {level + 0.5: f"{level:,}" for level in levels}
    for text in ax.clabel(drawn, fmt=said, fontsize=8.5):
        text.set_path_effects(OUTLINE)


def _marks(ax: Any, surface: Surface, off: float) -> None:
    """The Pareto front and the operating point, with counts."""
    best, point = surface.front(), surface.point
    label = f"Pareto front ({len(best):,} pair{'s' * (len(best) != 1)})"
    at = best["classifier"].astype(float).fillna(off)
    ax.scatter(
        at, best["detector"], s=16, color="white", edgecolor="#1b1f23", linewidth=0.7, zorder=3,
        label=label,
    )  # fmt: skip
    _star(ax, surface, off if point.classifier is None else point.classifier, point.detector)
    ax.legend(loc="upper right", fontsize=8.5, framealpha=0.9)


def _star(ax: Any, surface: Surface, x: float | None, y: float | None) -> None:
    """Mark the operating point, if the grid has it, at x, y; None: at its counts."""
    if not _on_grid(surface):
        return
    row = surface.at(surface.point.detector, surface.point.classifier)
    ax.scatter(
        [row["false"] if x is None else x], [row["hits"] if y is None else y],
        s=170, marker="*", color=LIGHT["cascade"], edgecolor="white", linewidth=1.0, zorder=4,
        label=f"in use: {row['hits']:,.0f} found, {row['false']:,.0f} false",
    )  # fmt: skip


def _on_grid(surface: Surface) -> bool:
    point = surface.point
    on_c = point.classifier is None or np.float32(point.classifier) in surface.classifier
    return bool(on_c and np.float32(point.detector) in surface.detector)


def front(ax: Any, surface: Surface) -> Any:
    """Every pair of thresholds as a point: hits against false alarms."""
    ax = new_axes(ax)
    names, table, best = surface.names, surface.to_frame(), surface.front()
    alone = table[table["classifier"].isna()].sort_values(["false", "hits"], kind="stable")
    ax.scatter(
        table["false"], table["hits"], s=7, color="#b9c0c6", linewidth=0,
        label=f"{len(table):,} pairs of thresholds",
    )  # fmt: skip
    ax.plot(
        best["false"], best["hits"], drawstyle="steps-post", color=LIGHT["cascade"], linewidth=1.9,
        label="Pareto front (optimistic: chosen here)",
    )  # fmt: skip
    ax.plot(
        alone["false"], alone["hits"], drawstyle="steps-post", color=LIGHT["detector"],
        linewidth=1.7, linestyle=DASH[DETECTOR], label=ARM_NAMES[DETECTOR],
    )  # fmt: skip
    _star(ax, surface, None, None)
    ax.set_xscale("symlog", linthresh=1, linscale=0.4)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    word = f", {surface.word}" if surface.word else ""
    ax.set_xlabel(f"{names.alarms} ({_exposure(surface)})")
    ax.set_ylabel(f"{names.found} (of {surface.total:,}{word})")
    ax.grid(color=LIGHT["grid"], linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8.5, loc="lower right")
    return ax
