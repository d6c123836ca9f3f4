"""The best that both thresholds can do, and where the detector alone finds as much.

One record for each level of recall that the truth can speak of: incidents, and frames. The
script looks up, for what a pair of thresholds finds, the detector's own threshold that finds as
much and its false alarms there: the same as `matched_recall` of `evaluate` at that pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.evaluation.curves import Sweep, at_least, sweep
from forensics.evaluation.envelope import front
from forensics.evaluation.fair import EVENT, FINDS_NOTHING, FRAME, at_equal_recall
from forensics.evaluation.grid import typed
from forensics.evaluation.log import Ints
from forensics.evaluation.matched import NO_POSITIVES
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.result import MILLION
from forensics.evaluation.scored import FRAMES, INCIDENTS
from forensics.evaluation.surface import Surfaces
from forensics.report.planted import Planted
from forensics.report.wording import number, percent

CORNERS = 200  # of the detector's line, beyond those of the grid
TABLE_ROWS = 14
NONE_RAISED = "the cascade raises none"
NEITHER = "neither raises any"
JUST_AS_MANY = "just as many as the cascade"
COLUMNS = (
    "recall",
    "detector threshold",
    "classifier threshold",
    "false-alarm frames per million",
    "detector alone at equal recall: threshold",
    "per million",
    "times as many",
)


@dataclass(frozen=True, slots=True)
class Recalled:
    """One level: its figures for the script, and the table of the front."""

    key: str
    name: str
    planted: str
    data: dict[str, Any]
    rows: tuple[tuple[str, ...], ...]


def words() -> dict[str, str]:
    """What the script says where there is no factor."""
    return {
        "positives": NO_POSITIVES,
        "nothing": FINDS_NOTHING,
        "none": NONE_RAISED,
        "neither": NEITHER,
        "same": JUST_AS_MANY,
    }


def recalled(
    prepared: Prepared,
    whole: Surfaces,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    planted: Planted,
) -> tuple[Recalled, ...]:
    """The level of `evaluate` first; `names` are the thresholds of rows and columns of `whole`."""
    swept = sweep(prepared, None)
    levels = [(EVENT, INCIDENTS, "detected", swept.n_incidents)] if swept.n_incidents else []
    if swept.n_positive or not levels:
        levels.append((FRAME, FRAMES, "frame_tp", swept.n_positive))
    made = []
    for key, name, counted, total in levels:
        found = whole.counts[counted][0]
        pairs = front(whole, name) if swept.n_negative else (np.zeros(0, np.int64),) * 2
        hits = _hits(swept, key, found[whole.valid])
        thresholds, false = at_equal_recall(swept, key, hits)
        data = {
            "counted": counted,
            "total": total,
            "hits": hits.tolist(),
            "thresholds": list(map(typed, thresholds)),
            "false": false.tolist(),
            "front": np.stack(pairs, axis=1).tolist(),
        }
        table = _table(whole, counted, swept.n_negative, data, names)
        made.append(Recalled(key, name, planted.word(key), data, table))
    return tuple(made)


def _hits(swept: Sweep, key: str, on_grid: Ints) -> Ints:
    """Counts found on the grid, and even steps between, for which the detector is asked."""
    scores = swept.incident if key == EVENT else swept.frame_tp
    most = int(at_least(scores, np.zeros(1, np.float32))[0])
    even = np.linspace(0, most, min(CORNERS, most) + 1).round().astype(np.int64)
    hits = np.unique(np.concatenate([on_grid, even]))
    return np.asarray(hits[(hits > 0) & (hits <= most)], np.int64)


def _table(
    whole: Surfaces,
    counted: str,
    negative: int,
    data: dict[str, Any],
    names: tuple[tuple[str, ...], tuple[str, ...]],
) -> tuple[tuple[str, ...], ...]:
    """The front thinned evenly; each pair beside the detector alone at equal recall."""
    pairs = data["front"]
    keep = np.linspace(0, len(pairs) - 1, min(TABLE_ROWS, len(pairs))).round().astype(int)
    places = {hits: place for place, hits in enumerate(data["hits"])}
    rows = []
    for i, j in (pairs[place] for place in keep.tolist()):
        hits, own = int(whole.counts[counted][0][i, j]), int(whole.counts["frame_fp"][0][i, j])
        alone = data["false"][places[hits]]
        rows.append((
            percent(hits / data["total"]), names[0][i], names[1][j],
            number(MILLION * own / negative), data["thresholds"][places[hits]],
            number(MILLION * alone / negative), times(alone, own),
        ))  # fmt: skip
    return tuple(rows)


def times(alone: int, own: int) -> str:
    """How many times as many false alarms the detector alone raises; in words where undefined."""
    if own:
        return number(alone / own)
    return NONE_RAISED if alone else NEITHER
