"""What the two thresholds can do together, against the detector's threshold alone.

The front holds the pairs of thresholds of which no other finds more with as few false alarm frames.
Its area up to a budget of false alarms is the mean, over budgets from none to that one, of the best
recall within the budget. Both are the best of many on the very footage that is judged: optimistic.
The detector's area is exact, over every score at which something changes; pairs are counted on a
grid, to which the detector's own curve (the classifier switched off) is added: what the classifier
adds is never less than 0, and if anything too little.
Source: the partial area of ActEV's scoring (nAUDC), here of recall instead of misses.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from forensics.evaluation.curves import Sweep, at_least, sweep
from forensics.evaluation.events import NO_SCORE
from forensics.evaluation.log import Floats, Ints
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.scored import INCIDENTS, recall_level
from forensics.evaluation.surface import Surfaces, surfaces
from forensics.types import OperatingPoint

STEPS = 25
OPTIMISTIC = (
    "optimistic: the best of many pairs of thresholds, found on the very footage that is judged; "
    "see matched recall for one pair"
)


def envelope(
    prepared: Prepared,
    point: OperatingPoint,
    counts: Surfaces | None = None,
    alone: Sweep | None = None,
) -> Any:
    """The front of all pairs, and areas of both arms up to the detector's own false alarms.

    The budget is what the detector alone raises at the threshold of `point`. `counts` is a surface
    of the whole run with events, where one is at hand; else one is counted on a coarse grid;
    `alone` is the sweep of the detector, where it is at hand. Plain values; None with a reason in
    `undefined` where truth cannot say.
    """
    level = recall_level(prepared)
    alone = alone or sweep(prepared, None)
    total = float(alone.n_incidents if level == INCIDENTS else alone.n_positive)
    negative = float(alone.n_negative)
    if not total or not negative:
        why = "truth has no positives" if not total else "truth has no negative frames"
        return _undefined(level, why)
    raised = at_least(alone.frame_fp, np.array([point.detector], np.float32))
    budget = 1e6 * float(raised[0]) / negative
    if not budget:
        return _undefined(level, "the detector alone raises no false alarm at its threshold")
    counts = counts or _count(prepared, point)
    recall = counts.counts[_found(level)][0] / total
    false = 1e6 * counts.counts["frame_fp"][0] / negative
    hits = alone.incident if level == INCIDENTS else alone.frame_tp
    reached = np.unique(hits[hits > NO_SCORE])  # false alarms between two of these find no more
    own_false = np.asarray(1e6 * at_least(alone.frame_fp, reached) / negative, np.float64)
    own_recall = np.asarray(at_least(hits, reached) / total, np.float64)
    i, j = front(counts, level)
    return {
        "level": level,
        "undefined": None,
        "false_alarms_per_million_max": budget,
        "area": {
            "detector": area(own_false, own_recall, budget),
            "cascade": area(
                np.append(false[i, j], own_false), np.append(recall[i, j], own_recall), budget
            ),
        },
        "front": [
            {
                "detector": float(counts.detector[a]),
                "classifier": float(counts.classifier[b - 1]) if b else None,
                "recall": float(recall[a, b]),
                "false_alarms_per_million": float(false[a, b]),
            }
            for a, b in zip(i.tolist(), j.tolist(), strict=True)
        ],
        "label": OPTIMISTIC,
    }


def _undefined(level: str, why: str) -> dict[str, Any]:
    return {
        "level": level, "undefined": why, "false_alarms_per_million_max": None,
        "area": {"detector": None, "cascade": None}, "front": [], "label": OPTIMISTIC,
    }  # fmt: skip


def _count(prepared: Prepared, point: OperatingPoint) -> Surfaces:
    floor = float(prepared.run.manifest["thresholds"]["floor"])
    detector = [*np.linspace(floor, max(floor, 0.98), STEPS).tolist(), point.detector]
    classifier = np.linspace(0, 0.98, STEPS).tolist()
    at = [] if point.classifier is None else [point.classifier]
    incidents = recall_level(prepared) == INCIDENTS
    return surfaces(prepared, detector, [*classifier, *at], events=incidents)


def front(counts: Surfaces, level: str) -> tuple[Ints, Ints]:
    """Rows and columns, in a surface of the whole run, of the pairs that no other beats.

    They ascend in false alarm frames and in what is found, incidents or frames as `level` says.
    Pairs that find nothing are not among them.
    """
    found = np.where(counts.valid, counts.counts[_found(level)][0], -1)
    flat, false = found.ravel(), counts.counts["frame_fp"][0].ravel()
    order = np.lexsort((-flat, false))
    best = np.maximum.accumulate(flat[order])
    better = flat[order] > np.append(0, best[:-1])
    i, j = np.unravel_index(order[better], found.shape)
    return np.asarray(i, np.int64), np.asarray(j, np.int64)


def _found(level: str) -> str:
    return "detected" if level == INCIDENTS else "frame_tp"


def area(false: Floats, recall: Floats, budget: float) -> float:
    """Mean of the best recall within a budget of false alarms, over budgets from 0 to `budget`."""
    order = np.argsort(false, kind="stable")
    edges = np.concatenate([[0.0], np.minimum(false[order], budget), [budget]])
    best = np.maximum.accumulate(np.concatenate([[0.0], recall[order]]))
    return float((np.diff(edges) * best).sum() / budget)
