"""Every detection above the detector threshold: what each arm made of it, and what truth says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from forensics.evaluation.align import FRAME_LABELS, IGNORED, UNLABELLED
from forensics.evaluation.classes import DECOY
from forensics.evaluation.levels import CASCADE, DETECTOR
from forensics.evaluation.log import Bools, Ints
from forensics.evaluation.match import FALSE, match, survivors
from forensics.evaluation.match import IGNORED as IN_REGION
from forensics.evaluation.match import TRUE as HIT
from forensics.evaluation.prepare import Prepared, prepare
from forensics.evaluation.rules import Rules, check_operating_point, run_operating_point
from forensics.runlog.reader import RunTables
from forensics.truth.base import Truth
from forensics.types import OperatingPoint

_COPIED = (
    "detection_index",
    "detector_class",
    "classifier_class",
    "classifier_score",
    "decided_by",
)


def decisions(
    run: RunTables,
    truth: Truth | None,
    operating_point: OperatingPoint | None = None,
    rules: Rules | None = None,
) -> pd.DataFrame:
    """One row per detection at or above the detector threshold, in the order of the log.

    `alarm_detector`, `alarm_cascade` bool; `outcome_*`: tp, fp, ignored or unlabelled (the frame
    has no box labels: see `frame_label`), null where the arm raised no alarm or without truth.
    `row` is the row in the run's detections table; `truth_class` the truth box it takes, or the
    decoy it lies on (`on_decoy`); `planted` whether that box was put in by a computer, or, where
    targets have no boxes, the frame's target.
    """
    return decisions_prepared(prepare(run, truth, rules), operating_point)


def decisions_prepared(
    prepared: Prepared, operating_point: OperatingPoint | None = None
) -> pd.DataFrame:
    """As `decisions`, for a run that is joined to its truth already."""
    point = operating_point or run_operating_point(prepared.run)
    check_operating_point(prepared.run, point)
    log, labels = prepared.log, prepared.labels
    kept = np.flatnonzero(log.score >= np.float32(point.detector)).astype(np.int64)
    frame = log.det_frame[kept]
    table = log.columns(_COPIED, kept)
    copied = {name: table[name].to_pandas().to_numpy() for name in _COPIED}
    columns: dict[str, Any] = {
        "row": log.rows(kept).astype(np.int64),
        "media_id": pd.Categorical.from_codes(
            log.frame_media[frame], pd.Index(log.media_id, dtype=object)
        ),
        "frame_index": log.frame_index[frame].astype(np.int64),
        "detection_index": copied.pop("detection_index"),
        "time_s": log.time_s[frame],
        "detector_score": log.score[kept],
        "target_score": log.target[kept],
        **copied,
        "suspect": log.suspect[frame],
        "frame_label": np.array(FRAME_LABELS, object)[labels.frame[frame]]
        if prepared.has_truth
        else None,
    }
    for arm, classifier in ((DETECTOR, None), (CASCADE, point.classifier)):
        alive = log.score >= np.float32(point.detector)
        if classifier is not None:
            alive &= log.target >= np.float32(classifier)
        columns[f"alarm_{arm}"] = alive[kept]
        outcome, taken = match(prepared.pairs, alive & survivors(log, labels, None, None))
        words = _outcomes(prepared, alive[kept], outcome[kept], frame)
        columns[f"outcome_{arm}"] = words if prepared.has_truth else None
        if arm == DETECTOR:
            columns |= _overlapped(prepared, taken[kept], kept)
    return pd.DataFrame(columns).sort_values("row", kind="stable", ignore_index=True)


def _outcomes(prepared: Prepared, alive: Bools, outcome: Any, frame: Ints) -> Any:
    """Words for detections on the given frame rows: object (n,)."""
    labels = prepared.labels
    frame_label = labels.frame[frame]
    words = np.full(len(alive), None, object)
    words[alive] = "unlabelled"
    boxed = alive & labels.has_boxes[frame]
    for code, word in ((HIT, "tp"), (FALSE, "fp"), (IN_REGION, "ignored")):
        words[boxed & (outcome == code)] = word
    words[alive & (frame_label == IGNORED)] = "ignored"
    words[alive & (frame_label == UNLABELLED)] = "unlabelled"
    return words


def _overlapped(prepared: Prepared, taken: Ints, kept: Ints) -> dict[str, Any]:
    """Class of the truth box that each detection takes, or lies on: a target before a decoy."""
    boxes = prepared.labels.boxes
    decoy = prepared.pairs.decoy[kept]
    box = np.where(taken >= 0, taken, decoy)
    names = np.array([*boxes.name, None], object)
    kinds = np.append(boxes.kind, -1)
    planted = np.append(boxes.planted, False)[box]
    by_span = prepared.labels.planted & ~prepared.labels.has_boxes
    return {
        "truth_class": names[box],
        "on_decoy": kinds[box] == DECOY,
        "planted": planted | by_span[prepared.log.det_frame[kept]],
    }
