"""Alarms merged into incidents for whoever looks at footage without truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forensics.evaluation.events import NO_SCORE, alarm_scores, number_alerts
from forensics.evaluation.levels import ARMS, CASCADE
from forensics.evaluation.log import Ints
from forensics.evaluation.match import survivors
from forensics.evaluation.prepare import Prepared, prepare
from forensics.evaluation.rules import Rules, check_operating_point, run_operating_point
from forensics.runlog.reader import RunTables
from forensics.types import OperatingPoint


def incidents(
    run: RunTables,
    operating_point: OperatingPoint | None = None,
    rules: Rules | None = None,
    arm: str = CASCADE,
) -> pd.DataFrame:
    """Alerts of one arm, merged by the gap: one row each, by media, then time.

    `media_id`, `path`, `camera_id`; `start_s`, `end_s` of the first and last alarm frame, null
    for stills and frames without a clock (each is its own alert); `first_frame`, `last_frame`;
    `frames` alarm frames; `detections` alarms; the best detection by target score (detector
    score where there is none): `best_row` in the detections table, `best_frame`, `best_score`,
    `best_target_score`.
    """
    if arm not in ARMS:
        raise ValueError(f"arm must be one of {ARMS}")
    prepared = prepare(run, None, rules)
    point = operating_point or run_operating_point(run)
    check_operating_point(run, point)
    log, timeline = prepared.log, prepared.timeline
    classifier = point.classifier if arm == CASCADE else None
    alive = survivors(log, prepared.labels, point.detector, classifier)
    alarms = alarm_scores(log, timeline, alive, prepared.rules)
    position = np.flatnonzero(alarms > NO_SCORE).astype(np.int64)
    alert = number_alerts(timeline, position, prepared.rules.gap_s)
    frame = timeline.row[position]
    clockless = np.unique(log.det_frame[alive & np.isnan(log.time_s)[log.det_frame]])
    count = int(alert[-1]) + 1 if len(alert) else 0
    frame = np.concatenate([frame, clockless])
    alert = np.concatenate([alert, count + np.arange(len(clockless))])
    table = _table(prepared, alive, frame, alert)
    return table.sort_values(["media", "first_frame"], kind="stable", ignore_index=True).drop(
        columns="media"
    )


def _table(prepared: Prepared, alive: np.ndarray, frame: Ints, alert: Ints) -> pd.DataFrame:
    log = prepared.log
    frames = pd.DataFrame({"alert": alert, "frame": frame})
    numbers = np.flatnonzero(alive)
    found = pd.DataFrame(
        {
            "frame": log.det_frame[numbers],
            "number": numbers,
            "score": log.score[numbers],
            "target": log.target[numbers],
        }
    ).merge(frames, on="frame")
    found["rank"] = found["target"].fillna(-1)
    best = found.sort_values(
        ["alert", "rank", "score", "number"], ascending=[True, False, False, True], kind="stable"
    ).drop_duplicates("alert")
    best = best.set_index("alert").sort_index()
    grouped = frames.assign(
        index=log.frame_index[frame].astype(np.int64),
        time_s=log.time_s[frame],
        media=log.frame_media[frame],
    ).groupby("alert", sort=True)
    media = grouped["media"].first().to_numpy()
    return pd.DataFrame(
        {
            "media": media,
            "media_id": np.array(log.media_id, object)[media],
            "path": np.array(log.path, object)[media],
            "camera_id": np.array(log.camera_names, object)[log.camera[media]],
            "start_s": grouped["time_s"].min().to_numpy(),
            "end_s": grouped["time_s"].max().to_numpy(),
            "first_frame": grouped["index"].min().to_numpy(),
            "last_frame": grouped["index"].max().to_numpy(),
            "frames": grouped.size().to_numpy(),
            "detections": found.groupby("alert").size().to_numpy(),
            "best_row": log.rows(best["number"].to_numpy()).astype(np.int64),
            "best_frame": log.frame_index[best["frame"].to_numpy()].astype(np.int64),
            "best_score": best["score"].to_numpy(),
            "best_target_score": best["target"].to_numpy(),
        }
    )
