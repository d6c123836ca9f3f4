"""The same counts in parts of the footage: by camera, object height, time of day, suspect frames.

Objects: recall of boxes by height in source pixels. A truth box outside a stratum is ignored
there; false boxes are not divided by height, as they have no object. The time of day is known only
where a file's own clock counts from 1970 (recorders that stamp wall-clock time do); it is that
clock's, in UTC. Cells with few incidents or
boxes are marked: their intervals are too wide to rank by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from forensics.evaluation.align import NEGATIVE, POSITIVE
from forensics.evaluation.classes import TARGET
from forensics.evaluation.events import NO_SCORE, frame_scores
from forensics.evaluation.levels import ARMS, CASCADE, ArmCounts, count_arm
from forensics.evaluation.log import Bools
from forensics.evaluation.match import match
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import wilson
from forensics.types import OperatingPoint

HEIGHT_EDGES = (0, 12, 24, 48, np.inf)
FEW = 10
FIRST_UNIX_S = 1e9  # 2001; a file's own clock starts near 0 unless it is a wall clock
DAY_S, UNKNOWN = 86_400, "unknown"
HOURS = ("00-06 h", "06-12 h", "12-18 h", "18-24 h")


def strata(
    prepared: Prepared, point: OperatingPoint, counted: Mapping[str, ArmCounts] | None = None
) -> pd.DataFrame:
    """Rows of `arm`, `stratum`, `part`, `hits`, `total`, `value`, `low`, `high`, `few`.

    Strata: `object height px` (truth boxes found); `camera`, `suspect frames` and `time of day`
    (frame recall, and the share of negative frames with a false alarm as `false alarms by ...`).
    Wilson limits at the rules' confidence, pooled: they compare parts of these cameras, and say
    nothing on others. `counted` are the arms at `point`, where they are at hand.
    """
    rows: list[dict[str, Any]] = []
    for arm in ARMS:
        if arm == CASCADE and point.classifier is None:
            continue
        counts = counted[arm] if counted else count_arm(prepared, point, arm)
        rows += _by_height(prepared, counts, arm)
        rows += _by_camera(prepared, counts, arm)
        rows += _by_suspect(prepared, counts, arm)
        rows += _by_time(prepared, counts, arm)
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = ["arm", "stratum", "part", "hits", "total", "value", "low", "high", "few"]


def method(confidence: float) -> str:
    """How the limits of the strata were made, in words."""
    return (
        f"Wilson, {100 * confidence:g} %, pooled; frames and boxes of one camera are not "
        "independent: too narrow; for comparing parts of these cameras, not for others"
    )


def _row(
    prepared: Prepared, arm: str, stratum: str, part: str, hits: int, total: int
) -> dict[str, Any]:
    confidence = prepared.rules.confidence
    low, high = wilson(hits, total, confidence) if total else (np.nan, np.nan)
    value = hits / total if total else np.nan
    values = (arm, stratum, part, hits, total, value, low, high, total < FEW)
    return dict(zip(_COLUMNS, values, strict=True))


def _by_height(prepared: Prepared, counts: ArmCounts, arm: str) -> list[dict[str, Any]]:
    boxes = prepared.labels.boxes
    _, taken = match(prepared.pairs, counts.alive)
    found = np.zeros(len(boxes.kind), np.bool_)
    found[taken[taken >= 0]] = True
    height = boxes.xyxy[:, 3] - boxes.xyxy[:, 1]
    rows = []
    for low, high in zip(HEIGHT_EDGES[:-1], HEIGHT_EDGES[1:], strict=True):
        here = (boxes.kind == TARGET) & (height >= low) & (height < high)
        name = f"{low:g}-{high:g}" if np.isfinite(high) else f">= {low:g}"
        hits = int((found & here).sum())
        rows.append(_row(prepared, arm, "object height px", name, hits, int(here.sum())))
    return rows


def _by_camera(prepared: Prepared, counts: ArmCounts, arm: str) -> list[dict[str, Any]]:
    log, ledger = prepared.log, prepared.ledger
    rows = []
    for number, name in enumerate(log.camera_names):
        here = log.camera == number
        positive, negative = int(ledger.positive[here].sum()), int(ledger.negative[here].sum())
        if positive:
            hits = int(counts.frame.tp[here].sum())
            rows.append(_row(prepared, arm, "camera", name, hits, positive))
        if negative:
            false = int(counts.frame.fp[here].sum())
            rows.append(_row(prepared, arm, "false alarms by camera", name, false, negative))
    return rows


def _by_suspect(prepared: Prepared, counts: ArmCounts, arm: str) -> list[dict[str, Any]]:
    suspect = prepared.log.suspect
    parts = (("suspect", suspect), ("sound", ~suspect))
    return _by_frames(prepared, counts, arm, "suspect frames", parts)


def _by_time(prepared: Prepared, counts: ArmCounts, arm: str) -> list[dict[str, Any]]:
    time_s = prepared.log.time_s
    known = time_s >= FIRST_UNIX_S
    quarter = np.full(len(time_s), -1, np.int8)
    quarter[known] = time_s[known] % DAY_S // (DAY_S / len(HOURS))
    parts = [(name, quarter == number) for number, name in enumerate(HOURS)] if known.any() else []
    return _by_frames(prepared, counts, arm, "time of day", [*parts, (UNKNOWN, ~known)])


def _by_frames(
    prepared: Prepared,
    counts: ArmCounts,
    arm: str,
    stratum: str,
    parts: Iterable[tuple[str, Bools]],
) -> list[dict[str, Any]]:
    """Recall and false alarms of the frames of each part; parts without such frames are left out
    of the one or the other."""
    log, label = prepared.log, prepared.labels.frame
    alert = frame_scores(log, counts.alive & prepared.alarming) > NO_SCORE
    rows = []
    for part, here in parts:
        for name, wanted in ((stratum, POSITIVE), (f"false alarms by {stratum}", NEGATIVE)):
            frames = log.ok & here & (label == wanted)
            if total := int(frames.sum()):
                rows.append(_row(prepared, arm, name, part, int((alert & frames).sum()), total))
    return rows
