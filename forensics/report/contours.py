"""Lines on the map of both thresholds: equal recall, and equal false alarms per million frames.

A line parts the pairs that keep its promise (a recall of at least so much, at most so many false
alarms) from those that do not, as counted: it runs half a count away from either, so that no pair
lies on it. Only its way between neighbouring pairs is drawn, not counted. Of frames, with the
classifier on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from contourpy import contour_generator

from forensics.evaluation.log import Ints
from forensics.evaluation.result import MILLION
from forensics.evaluation.surface import Surfaces
from forensics.report.wording import NBSP, UNDEFINED, number

RECALL, FALSE = "recall", "false"
MOST_LINES = 5  # of either kind
SHARES = (0.99, 0.95, 0.9, 0.8, 0.6, 0.4, 0.2)
RATES = tuple(float(f"{digit}e{power}") for power in range(6) for digit in (1, 3))
NEVER = "never"


@dataclass(frozen=True, slots=True)
class Contour:
    """A line of `kind`: at the pairs on its good side at least, or at most, `count` frames.

    `paths` are polylines (x, y) in columns and rows of the surface, both from 0.
    """

    kind: str
    label: str
    count: int
    paths: tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True, slots=True)
class Contours:
    """The lines, what they are in words, and at some detector thresholds where they run."""

    lines: tuple[Contour, ...] = ()
    alt: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    def has(self, kind: str) -> bool:
        return any(line.kind == kind for line in self.lines)

    def to_json(self) -> list[dict[str, Any]]:
        """For the script: a path is x and y in turn."""
        return [
            {
                "of": line.kind,
                "label": line.label,
                "paths": [[round(value, 2) for xy in path for value in xy] for path in line.paths],
            }
            for line in self.lines
        ]


def contours(
    whole: Surfaces, detector: Sequence[str], classifier: Sequence[str], shown: Sequence[int]
) -> Contours:
    """Lines on a surface of the whole run, whose thresholds are named; `shown` rows in the table.

    No lines of a kind whose figure is undefined, or that no pair of the grid divides.
    """
    tp, fp = (np.asarray(whole.counts[name][0][:, 1:]) for name in ("frame_tp", "frame_fp"))
    valid = whole.valid[:, 1:]
    if min(tp.shape) < 2 or not valid.any():
        return Contours()
    lines = (
        *_recalls(tp, valid, float(whole.totals["n_positive"][0])),
        *_rates(fp, valid, float(whole.totals["n_negative"][0])),
    )
    rows = tuple(
        (
            detector[i],
            *(_crossing(line, tp[i], fp[i], classifier, bool(valid[i, 0])) for line in lines),
        )
        for i in shown
    )
    return Contours(lines, _alt(lines), ("detector", *map(_heading, lines)), rows if lines else ())


def _recalls(tp: Ints, valid: Any, total: float) -> tuple[Contour, ...]:
    """Lines of recall, the highest first; the strongest claim for each count."""
    low, high = tp[valid].min(), tp[valid].max()
    found: dict[int, str] = {}
    for share in SHARES:
        least = math.ceil(share * total - 1e-9)
        if low < least <= high:
            found.setdefault(least, f"{100 * share:.0f}{NBSP}%")
    return tuple(
        Contour(RECALL, label, least, _paths(tp.astype(np.float64), valid, least - 0.5))
        for least, label in _thinned(found)
    )


def _rates(fp: Ints, valid: Any, total: float) -> tuple[Contour, ...]:
    """Lines of false alarms, the fewest first; between counts they keep to a scale of powers."""
    low, high = fp[valid].min(), fp[valid].max()
    every: dict[int, float] = {}
    for rate in RATES:
        most = math.floor(rate * total / MILLION + 1e-9)
        if max(low, 1) <= most < high:
            every.setdefault(most, rate)
    tens = {most: rate for most, rate in every.items() if math.log10(rate).is_integer()}
    found = {0: "0"} if low == 0 < high else {}
    chosen = tens if len(tens) >= MOST_LINES - 2 else every
    found |= {most: number(rate) for most, rate in chosen.items()}
    return tuple(
        Contour(FALSE, label, most, _paths(np.log1p(fp), valid, math.log1p(most + 0.5)))
        for most, label in _thinned(found)
    )


def _thinned(found: dict[int, str]) -> list[tuple[int, str]]:
    lines = list(found.items())
    keep = np.linspace(0, len(lines) - 1, min(MOST_LINES, len(lines))).round().astype(int)
    return [lines[place] for place in keep.tolist()]


def _paths(values: Any, valid: Any, level: float) -> tuple[tuple[tuple[float, float], ...], ...]:
    generator = contour_generator(z=np.ma.masked_array(values, mask=~valid), name="serial")
    return tuple(
        tuple((1 + x, y) for x, y in np.asarray(line).tolist()) for line in generator.lines(level)
    )


def _crossing(line: Contour, tp: Ints, fp: Ints, classifier: Sequence[str], asked: bool) -> str:
    """The last, or first, classifier threshold that keeps the promise in a row of the surface."""
    if not asked:
        return UNDEFINED
    kept = np.flatnonzero(tp >= line.count if line.kind == RECALL else fp <= line.count)
    if not len(kept):
        return NEVER
    return classifier[int(kept[-1] if line.kind == RECALL else kept[0])]


def _heading(line: Contour) -> str:
    if line.kind == RECALL:
        return f"recall at least {line.label}: up to"
    return f"at most {line.label} per million: from"


def _alt(lines: Sequence[Contour]) -> str:
    said = []
    for kind, words in ((RECALL, "of equal recall"), (FALSE, "of equal false alarms per million")):
        labels = [line.label for line in lines if line.kind == kind]
        if labels:
            said.append(f"lines {words} at {', '.join(labels)}")
    return " and ".join(said)
