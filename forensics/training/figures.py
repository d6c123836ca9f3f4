"""Pictures and tables of a training run: curves, confusion matrix, reliability."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from forensics.runlog.writer import write_bytes

DPI = 110
BLUE, ORANGE, INK = "#0072b2", "#c4500c", "#30373d"  # Okabe and Ito
CURVES = (
    ("loss", (("train_loss", "training"), ("val_nll", "validation"))),
    ("target against the rest", (("val_target_auc", "ROC AUC"), ("val_target_recall", "recall"))),
    ("right", (("train_accuracy", "training"), ("val_mean_recall", "validation, mean of classes"))),
)


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Tables of evaluation.calibration.reliability for the targets, and the targets' name."""

    before: pd.DataFrame
    after: pd.DataFrame
    name: str


def draw_curves(rows: Sequence[Mapping[str, Any]], best_epoch: int, path: Path) -> None:
    """Loss and validation figures over the epochs."""
    figure = Figure(figsize=(10, 3.2), dpi=DPI, layout="constrained")
    epochs = [row["epoch"] for row in rows]
    for axes, (title, lines) in zip(figure.subplots(1, len(CURVES)), CURVES, strict=True):
        for (key, name), colour in zip(lines, (BLUE, ORANGE), strict=True):
            values = [np.nan if row[key] is None else row[key] for row in rows]
            axes.plot(epochs, values, color=colour, marker=".", label=name)
        axes.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=":")
        axes.set(title=title, xlabel="epoch (dotted: kept)")
        axes.legend(frameon=False)
    _write(figure, path)


def draw_confusion(table: Sequence[Sequence[int]], names: Sequence[str], path: Path) -> None:
    """Counts, shaded by share of the true class."""
    counts = np.asarray(table)
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    size = 2.2 + 0.75 * len(names)
    figure = Figure(figsize=(size, size), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=45, ha="right")
    axes.set_yticks(ticks, names)
    axes.set(xlabel="most probable class", ylabel="true class")
    for (row, column), n in np.ndenumerate(counts):
        ink = "white" if share[row, column] > 0.5 else INK
        axes.text(column, row, str(n), ha="center", va="center", color=ink)
    _write(figure, path)


def draw_reliability(found: Reliability, path: Path) -> None:
    """Probability against the share of targets, before and after; numbers are crops in a bin."""
    figure = Figure(figsize=(8, 4), dpi=DPI, layout="constrained")
    sides = (("before", found.before, ORANGE), ("after", found.after, BLUE))
    for axes, (title, table, colour) in zip(figure.subplots(1, 2), sides, strict=True):
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        axes.plot(table["probability"], table["share"], color=colour, marker="o")
        for _, row in table.iterrows():
            place = (row["probability"], row["share"])
            axes.annotate(f"{row['count']:.0f}", place, (4, -10), textcoords="offset points")
        axes.set(title=f"{found.name}: {title}", xlabel="mean probability", xlim=(-0.02, 1.02))
        axes.set(ylabel="share that are targets", ylim=(-0.02, 1.02))
    _write(figure, path)


def write_confusion(table: Sequence[Sequence[int]], names: Sequence[str], path: Path) -> None:
    """A row per true class, a column per most probable class."""
    _write_csv([["true", *names], *([n, *row] for n, row in zip(names, table, strict=True))], path)


def write_log(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A row per epoch."""
    names = list(rows[0]) if rows else ["epoch"]
    _write_csv([names, *([row[name] for name in names] for row in rows)], path)


def _write_csv(rows: Sequence[Sequence[Any]], path: Path) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_bytes(text.getvalue().encode(), path)


def _write(figure: Figure, path: Path) -> None:
    data = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(data, format="png")
    write_bytes(data.getvalue(), path)
