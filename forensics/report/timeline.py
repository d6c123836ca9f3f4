"""What happened when, file by file: incidents of the truth and alerts of both arms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from forensics.evaluation.levels import ArmCounts
from forensics.evaluation.prepare import Prepared
from forensics.report.model import AlertRow, Lane, Span, Timeline
from forensics.report.wording import count, time_code

LENGTH = 1000.0
LEAST_WIDTH = 3.0
MOST_ROWS = 60
_LANE_NAMES = {"truth": "Truth", "detector": "Detector alone", "cascade": "Cascade"}
_SAID = {"true": "true alert", "false": "false alert", "unverified": "alert, not labelled"}
Bar = Mapping[Any, Any]
COLUMNS = ("media_id", "lane", "start_s", "end_s", "frames", "state", "planted")


def truth_bars(prepared: Prepared) -> pd.DataFrame:
    """The incidents of the truth as bars."""
    log, incidents = prepared.log, prepared.incidents
    media = incidents.media
    return pd.DataFrame(
        {
            "media_id": np.array(log.media_id, object)[media],
            "lane": "truth",
            "start_s": incidents.start_s,
            "end_s": incidents.end_s,
            "frames": -1,
            "state": np.where(incidents.seen, "incident", "unseen"),
            "planted": incidents.planted,
        }
    )


def alert_bars(prepared: Prepared, arm: ArmCounts, lane: str) -> pd.DataFrame:
    """The alerts of one arm as bars, judged by the truth."""
    alerts, timeline = arm.alerts, prepared.timeline
    grouped = pd.Series(timeline.time_s[alerts.position]).groupby(alerts.alert)
    state = np.where(alerts.true, "true", np.where(alerts.unverified, "unverified", "false"))
    return pd.DataFrame(
        {
            "media_id": np.array(prepared.log.media_id, object)[alerts.media],
            "lane": lane,
            "start_s": grouped.min().to_numpy(),
            "end_s": grouped.max().to_numpy(),
            "frames": grouped.size().to_numpy(),
            "state": state,
            "planted": False,
        }
    )


def incident_bars(incidents: pd.DataFrame, lane: str) -> pd.DataFrame:
    """Incidents without truth as bars; those without a clock have no place in time."""
    timed = incidents.dropna(subset=["start_s"])
    bars = timed[["media_id", "start_s", "end_s", "frames"]]
    return bars.assign(lane=lane, state="open", planted=False)[list(COLUMNS)]


def timelines(
    media: list[dict[str, Any]],
    ends_s: Mapping[str, tuple[float, float]],
    bars: pd.DataFrame,
    first: str,
) -> tuple[Timeline, ...]:
    """One timeline for every file that has a bar: those with one in lane `first`, then the rest."""
    by_media: dict[str, list[Bar]] = defaultdict(list)
    for bar in bars.to_dict("records"):
        by_media[bar["media_id"]].append(bar)
    lanes = [name for name in _LANE_NAMES if name in set(bars["lane"])] if len(bars) else []
    leading = set(bars.loc[bars["lane"] == first, "media_id"]) if len(bars) else set()
    found: list[tuple[bool, Timeline]] = []
    seen: set[str] = set()
    for row in media:
        media_id = row["media_id"]
        if media_id in by_media and media_id not in seen:
            seen.add(media_id)
            made = _timeline(row, by_media[media_id], ends_s.get(media_id), lanes)
            found.append((media_id not in leading, made))
    return tuple(made for _, made in sorted(found, key=lambda pair: pair[0]))


def _timeline(
    row: Mapping[str, Any], bars: list[Bar], ends_s: tuple[float, float] | None, lanes: list[str]
) -> Timeline:
    first_s = min(float(bar["start_s"]) for bar in bars)
    known = [row["start_time_s"], ends_s[0] if ends_s else None, first_s]
    start_s = min(value for value in known if value is not None)
    stops = [ends_s[1] if ends_s else None, max(float(bar["end_s"]) for bar in bars)]
    end_s = max(value for value in stops if value is not None)
    rows = list(_rows(bars))
    return Timeline(
        path=row["path"],
        camera=row["camera_id"] or row["path"],
        start=time_code(start_s),
        end=time_code(end_s),
        lanes=tuple(
            Lane(
                _LANE_NAMES[name],
                tuple(_spans([bar for bar in bars if bar["lane"] == name], start_s, end_s)),
            )
            for name in lanes
        ),
        rows=tuple(rows[:MOST_ROWS]),
        left_out=max(0, len(rows) - MOST_ROWS),
    )


def _spans(bars: list[Bar], start_s: float, end_s: float) -> Iterator[Span]:
    scale = LENGTH / max(end_s - start_s, 1e-9)
    for bar in bars:
        left = (bar["start_s"] - start_s) * scale
        width = max(LEAST_WIDTH, (bar["end_s"] - bar["start_s"]) * scale)
        left = min(left, LENGTH - LEAST_WIDTH)
        title = f"{_what(bar)}, {time_code(bar['start_s'])} to {time_code(bar['end_s'])}"
        yield Span(round(left, 2), round(min(width, LENGTH - left), 2), bar["state"], title)


def _rows(bars: list[Bar]) -> Iterator[AlertRow]:
    for bar in sorted(bars, key=lambda bar: (bar["start_s"], bar["lane"])):
        yield AlertRow(
            start=time_code(bar["start_s"]),
            end=time_code(bar["end_s"]),
            source=_LANE_NAMES[bar["lane"]],
            what=_what(bar),
            kind=bar["state"],
            frames=count(bar["frames"]) if bar["frames"] >= 0 else "",
        )


def _what(bar: Bar) -> str:
    if bar["lane"] == "truth":
        unseen = ", no processed frame in it" if bar["state"] == "unseen" else ""
        return f"incident{' (planted)' if bar['planted'] else ''}{unseen}"
    return _SAID.get(bar["state"], "alert")
