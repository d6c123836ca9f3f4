"""False alarms that belong together: at one place of a camera's view, or of one look."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forensics.boxes import iou_matrix
from forensics.report.wording import NBSP, percent, plural
from forensics.runlog.reader import RunTables

Ints = NDArray[np.int64]
MOST_MERGED = 1000  # cells of a camera that are compared with each other, the fullest first
SAME_PLACE_IOU = 0.4
NO_PLACE = -1
SLENDER = 1.4  # sides in this ratio or more make a box wide or tall
CATCH_ALL = "other"  # the class of all that has no name: it says nothing on looks
UNCLASSIFIED = "not classified"
_XYXY = ["x_min", "y_min", "x_max", "y_max"]


def places(table: pd.DataFrame) -> tuple[Ints, tuple[Ints, ...]]:
    """The place of every row, int64 (n,), and the rows of every place, the fullest first.

    `table` has a camera and a box per row. A place holds two rows or more; others are at
    `NO_PLACE`.
    """
    of_row = np.full(len(table), NO_PLACE, np.int64)
    found: list[tuple[int, str, Ints]] = []
    for camera, rows in table.groupby("camera", sort=True).indices.items():
        boxes = table[_XYXY].to_numpy(np.float64)[rows]
        spots = hot_spots(boxes)
        order = np.argsort(spots, kind="stable")
        parts = np.split(rows[order], np.flatnonzero(np.diff(spots[order])) + 1)
        found += [(len(part), str(camera), part) for part in parts if len(part) > 1]
    found.sort(key=lambda spot: (-spot[0], spot[1], int(spot[2][0])))
    for number, (_, _, rows) in enumerate(found):
        of_row[rows] = number
    return of_row, tuple(rows for _, _, rows in found)


def describe(table: pd.DataFrame, rows: Ints) -> tuple[str, str]:
    """A place in words: where it is, and how often it alarms falsely."""
    here = table.iloc[rows]
    x0, y0, x1, y1 = here[_XYXY].median().tolist()
    frames = len(here[["media_id", "frame_index"]].drop_duplicates())
    files = here["media_id"].nunique()
    where = f"Camera {here['camera'].iloc[0]}, around ({(x0 + x1) / 2:.0f}, {(y0 + y1) / 2:.0f})"
    return where, (
        f"a box of about {x1 - x0:.0f} x {y1 - y0:.0f}{NBSP}px, {plural(len(rows), 'false alarm')} "
        f"on {plural(frames, 'frame')} of {plural(files, 'file')}: "
        f"{percent(len(rows) / len(table))} of all"
    )


def hot_spots(boxes: NDArray[np.float64]) -> Ints:
    """Number boxes, float64 (n, 4), by where they are: int64 (n,).

    Boxes fall into cells of position and size that suit their size; from the fullest cell on, a
    cell joins the first spot whose median box its own overlaps by `SAME_PLACE_IOU`. Of many
    cells only the fullest are compared. No cell depends on the order of the boxes.
    """
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = np.sqrt(np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1.0))
    level = np.round(2 * np.log2(side))
    step = 2 ** (level / 2) / 2
    key = np.column_stack([level, np.round(middle / step[:, None])]).astype(np.int64)
    _, cell, filled = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    cell = cell.reshape(-1)
    order = np.argsort(-filled, kind="stable")[:MOST_MERGED]
    medians = pd.DataFrame(boxes).groupby(cell).median().to_numpy()
    spot = np.arange(len(filled), dtype=np.int64)
    overlap = iou_matrix(medians[order], medians[order]) >= SAME_PLACE_IOU
    free = np.ones(len(order), np.bool_)
    for place in range(len(order)):
        if free[place]:
            joined = overlap[place] & free
            spot[order[joined]] = order[place]
            free &= ~joined
    return np.asarray(spot[cell], np.int64)


def looks(run: RunTables, table: pd.DataFrame) -> list[str]:
    """What each detection looks like: its likeliest class, and the shape of its box.

    `table` has the run's `row` and a box. The class is that of highest probability among those
    with a name that are no target, so that alarms of one cause stand together even where the
    target, or the class of all the rest, was likelier still.
    """
    x0, y0, x1, y1 = table[_XYXY].to_numpy(np.float64).T
    aspect = np.maximum(x1 - x0, 1) / np.maximum(y1 - y0, 1)
    shape = np.select([aspect > SLENDER, aspect < 1 / SLENDER], ["wide", "tall"], "square")
    named = _classes(run, table["row"].to_numpy(np.int64))
    return [f"{name}, {word}" for name, word in zip(named, shape.tolist(), strict=True)]


def _classes(run: RunTables, rows: Ints) -> list[str]:
    names = run.classifier_classes
    apart = {*run.manifest["cascade"]["target_classes"], CATCH_ALL}
    others = [n for n, name in enumerate(names) if name not in apart]
    taken = run.detections["probabilities"].take(pa.array(rows)).combine_chunks()
    known = np.asarray(pc.is_valid(taken))
    found = np.full(len(rows), UNCLASSIFIED, object)
    if others and known.any():
        flat: Any = pc.list_flatten(taken).to_numpy(zero_copy_only=False)
        likeliest = flat.reshape(-1, len(names))[:, others].argmax(axis=1)
        found[known] = np.array([names[n] for n in others], object)[likeliest]
    return [str(name) for name in found]
