"""Tables of single things: detections, incidents, alerts, mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from forensics.evaluation.levels import ArmCounts
from forensics.evaluation.log import Ints
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.taxonomy import FALSE_KINDS, MISSED_KINDS, mistakes
from forensics.runlog.reader import RunTables
from forensics.types import OperatingPoint

XYXY = ("x_min", "y_min", "x_max", "y_max")
_JUDGED = ("outcome_detector", "outcome_cascade", "frame_label", "truth_class", "on_decoy")


def with_names(table: pd.DataFrame, run: RunTables) -> pd.DataFrame:
    """The table with `path` and `camera_id` in front, found by `media_id`."""
    media = run.media.select(["media_id", "path", "camera_id"]).to_pandas()
    media = media.dropna(subset="media_id").drop_duplicates("media_id").set_index("media_id")
    camera = media["camera_id"].fillna(media["path"])
    ids = table["media_id"]
    named = table.drop(columns="media_id")
    named.insert(0, "path", pd.Categorical(ids.map(media["path"])))
    named.insert(1, "camera_id", pd.Categorical(ids.map(camera)))
    return named.assign(media_id=ids)


def with_boxes(decisions: pd.DataFrame, run: RunTables) -> pd.DataFrame:
    """Decisions with names, and the box of each in source pixels."""
    boxes = run.detections.select(XYXY).take(decisions["row"].to_numpy()).to_pandas()
    named = with_names(decisions, run)
    return named.assign(**{name: boxes[name].to_numpy() for name in XYXY})


def without_truth(decisions: pd.DataFrame) -> pd.DataFrame:
    """Decisions without the columns that only truth could fill."""
    return decisions.drop(columns=[*_JUDGED, "planted"])


def incident_table(prepared: Prepared, counts: ArmCounts) -> pd.DataFrame:
    """The true incidents: when, whether one arm found each, and how long after its start.

    `latency_s` is NaN where it was missed; before the onset, within the collar, it is negative.
    """
    log, incidents = prepared.log, prepared.incidents
    latency_s = counts.alerts.latency_s
    found = np.isfinite(latency_s)
    places = _places(prepared, incidents.media)
    return pd.DataFrame(
        {
            **places,
            "start_s": incidents.start_s,
            "end_s": incidents.end_s,
            "found": found,
            "latency_s": np.where(found, latency_s, np.nan),
            "seen": incidents.seen,
            "planted": incidents.planted,
            "media_id": np.array(log.media_id, object)[incidents.media],
        }
    )


def alert_table(prepared: Prepared, counts: ArmCounts) -> pd.DataFrame:
    """The alerts of one arm: when, of how many alarm frames, and what truth says of each."""
    alerts = counts.alerts
    times = pd.Series(prepared.timeline.time_s[alerts.position]).groupby(alerts.alert)
    outcome = np.select(
        [alerts.repeat, alerts.true, alerts.unverified], ["repeat", "true", "unverified"], "false"
    )
    return pd.DataFrame(
        {
            **_places(prepared, alerts.media),
            "start_s": times.min().to_numpy(),
            "end_s": times.max().to_numpy(),
            "frames": times.size().to_numpy(),
            "outcome": outcome.astype(object),
            "media_id": np.array(prepared.log.media_id, object)[alerts.media],
        }
    )


def failure_table(prepared: Prepared, point: OperatingPoint, arm: str) -> pd.DataFrame:
    """False boxes, then missed truth boxes, of one arm: one row each, with its cause and box.

    For a missed box the scores are those of the best logged detection on it, NaN without one.
    """
    log, boxes = prepared.log, prepared.labels.boxes
    made = mistakes(prepared, point, arm)
    frame = np.concatenate([log.det_frame[made.false], boxes.frame[made.missed]])
    detection = np.concatenate([made.false, made.nearest])
    xyxy = np.concatenate([log.boxes(made.false).astype(np.float64), boxes.xyxy[made.missed]])
    decoy = prepared.pairs.decoy[made.false]
    causes = [
        *(FALSE_KINDS[kind] for kind in made.false_kind),
        *(MISSED_KINDS[kind] for kind in made.missed_kind),
    ]
    names = np.array([*boxes.name, None], object)
    planted = np.append(boxes.planted, False)
    media = log.frame_media[frame]
    return pd.DataFrame(
        {
            **_places(prepared, media),
            "frame_index": log.frame_index[frame],
            "time_s": log.time_s[frame],
            "mistake": np.repeat(["false", "missed"], [len(made.false), len(made.missed)]),
            "cause": np.array(causes, object),
            "detector_score": _scores(log.score, detection),
            "target_score": _scores(log.target, detection),
            "truth_class": names[np.concatenate([decoy, made.missed])],
            "planted": planted[np.concatenate([decoy, made.missed])],
            **{name: xyxy[:, place] for place, name in enumerate(XYXY)},
            "media_id": np.array(log.media_id, object)[media],
        }
    )


def _places(prepared: Prepared, media: Ints) -> dict[str, Any]:
    log = prepared.log
    return {
        "path": np.array(log.path, object)[media],
        "camera_id": np.array(log.camera_names, object)[log.camera[media]],
    }


def _scores(scores: Any, detection: Ints) -> Any:
    """Scores of detections, NaN for -1."""
    return np.append(scores, np.float32(np.nan))[detection]
