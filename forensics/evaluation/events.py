"""Incidents (from truth) and alerts (from alarms), in seconds on each file's own clock.

Alarm frames of one file no further apart than the gap are one alert; an alert never crosses from
one file to the next. An incident's zone is its interval plus the collar on both sides, ends
included. An alert is true if one of its frames lies in a zone, false if none does and truth knows
one of them, else unverified. Frames without a time, and ignored frames, take no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensics.evaluation import kernels
from forensics.evaluation.align import IGNORED, POSITIVE, UNLABELLED, Intervals, Labels
from forensics.evaluation.log import Bools, Floats, Ints, Log, Rows, Scores
from forensics.evaluation.rules import Rules

NO_SCORE = np.float32(-np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Processed frames with a time that are not ignored, by media, then time: T of them.

    `row` int32 (T,) frame row; `media` int32; `time_s` float64; `ordinal` int32, place among the
    media's processed frames, empty where no confirmation asks for it; `known` bool: labelled;
    `in_zone` bool: within an incident's zone; `media_start` int64 (M + 1,).
    """

    row: Rows
    media: Rows
    time_s: Floats
    ordinal: Rows
    known: Bools
    in_zone: Bools
    media_start: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Incidents:
    """True incidents, by media, then start: K of them.

    `media` int64 (K,); `start_s`, `end_s` float64; `planted`, `seen` bool (seen: a processed
    frame lies within); `low`, `high` int64: the zone's frames in the timeline, half-open.
    """

    media: Ints
    start_s: Floats
    end_s: Floats
    planted: Bools
    seen: Bools
    low: Ints
    high: Ints

    def __len__(self) -> int:
        return len(self.media)


@dataclass(frozen=True, slots=True, eq=False)
class Alerts:
    """Alerts of one arm: A of them, by media, then time.

    `position` int64 (P,) alarm frames in the timeline; `alert` int64 (P,) the alert of each;
    `media` int64 (A,); `true`, `unverified`, `repeat` bool (A,); false are all others.
    `latency_s` float64 (K,) per incident, infinite where it was missed; before the onset, within
    the collar, it is negative.
    """

    position: Ints
    alert: Ints
    media: Ints
    true: Bools
    unverified: Bools
    repeat: Bools
    latency_s: Floats


def build_timeline(log: Log, labels: Labels, rules: Rules) -> tuple[Timeline, Incidents]:
    """Order the frames that can alarm in time, and find the incidents among them."""
    row, media, time_s = _in_time(log, labels)
    media_start = np.searchsorted(media, np.arange(len(log.media_id) + 1)).astype(np.int64)
    label = labels.frame[row]
    incidents = _incidents(labels.intervals, time_s, label == POSITIVE, media_start, rules)
    in_zone = np.zeros(len(row), np.bool_)
    for low, high in zip(incidents.low.tolist(), incidents.high.tolist(), strict=True):
        in_zone[low:high] = True
    timeline = Timeline(
        row=row,
        media=media,
        time_s=time_s,
        ordinal=_ordinals(log, row, media) if rules.confirm_frames > 1 else row[:0],
        known=label != UNLABELLED,
        in_zone=in_zone,
        media_start=media_start,
    )
    return timeline, incidents


def _in_time(log: Log, labels: Labels) -> tuple[Rows, Rows, Floats]:
    """Rows, media and times of the timeline's frames; the log's own arrays where all are in it."""
    usable = log.ok & ~np.isnan(log.time_s) & (labels.frame != IGNORED)
    row = np.flatnonzero(usable).astype(np.int32)
    media, time_s = log.frame_media, log.time_s
    if len(row) < len(usable):
        media, time_s = media[row], time_s[row]
    ordered = media[1:] > media[:-1]
    ordered |= time_s[1:] >= time_s[:-1]
    if not ordered.all():
        order = np.lexsort((time_s, media))
        row, media, time_s = row[order], media[order], time_s[order]
    return row, media, time_s


def _ordinals(log: Log, row: Rows, media: Rows) -> Rows:
    """Place of each frame among the processed frames of its media: int32."""
    upto = np.cumsum(log.ok, dtype=np.int32)
    first = log.media_start[:-1]
    before = np.zeros(len(first), np.int32)
    before[first > 0] = upto[first[first > 0] - 1]
    ordinal = upto[row] if len(row) < len(upto) else upto
    ordinal -= before[media]
    ordinal -= 1
    return ordinal


def _incidents(
    intervals: Intervals, time_s: Floats, positive: Bools, media_start: Ints, rules: Rules
) -> Incidents:
    merged = merge_intervals(intervals, rules.gap_s)
    low, high, seen = [], [], []
    for media, start_s, end_s in zip(merged.media, merged.start_s, merged.end_s, strict=True):
        first = media_start[media]
        times = time_s[first : media_start[media + 1]]
        zone = np.searchsorted(times, [start_s - rules.collar_s], "left")[0]
        after = np.searchsorted(times, [end_s + rules.collar_s], "right")[0]
        begin, end = np.searchsorted(times, start_s, "left"), np.searchsorted(times, end_s, "left")
        # Spans end before end_s; an interval of labelled frames ends with its last frame.
        closed = np.searchsorted(times, end_s, "right")
        inside = end > begin or positive[first + begin : first + closed].any()
        low.append(first + zone)
        high.append(first + after)
        seen.append(bool(inside))
    return Incidents(
        media=merged.media,
        start_s=merged.start_s,
        end_s=merged.end_s,
        planted=merged.planted,
        seen=np.array(seen, np.bool_),
        low=np.array(low, np.int64),
        high=np.array(high, np.int64),
    )


def merge_intervals(intervals: Intervals, gap_s: float) -> Intervals:
    """Join intervals of one file that lie no further apart than the gap.

    A joined interval is planted only if all its parts are.
    """
    rows: list[tuple[int, float, float, bool]] = []
    columns = (intervals.media, intervals.start_s, intervals.end_s, intervals.planted)
    for media, start_s, end_s, planted in sorted(zip(*(c.tolist() for c in columns), strict=True)):
        if rows and rows[-1][0] == media and start_s - rows[-1][2] <= gap_s:
            last = rows[-1]
            rows[-1] = (media, last[1], max(last[2], end_s), last[3] and planted)
        else:
            rows.append((media, start_s, end_s, planted))
    return Intervals(
        media=np.array([row[0] for row in rows], np.int64),
        start_s=np.array([row[1] for row in rows], np.float64),
        end_s=np.array([row[2] for row in rows], np.float64),
        planted=np.array([row[3] for row in rows], np.bool_),
    )


def frame_scores(log: Log, alive: Bools) -> Scores:
    """Best detector score per frame over the `alive` detections: float32 (F,), -inf for none."""
    return kernels.best_scores(alive, log.det_start, log.score)


def alarm_scores(log: Log, timeline: Timeline, alive: Bools, rules: Rules) -> Scores:
    """Highest detector threshold at which each timeline frame is an alarm frame: float32 (T,).

    With confirmation k of n that is the lesser of the frame's own best score and the k-th best
    among the last n processed frames, itself included; -inf where nothing is left.
    """
    own = frame_scores(log, alive)[timeline.row]
    if rules.confirm_hits == 1:
        return own
    confirmed = np.full(len(own), NO_SCORE, np.float32)
    active = np.flatnonzero(own > NO_SCORE)
    base = int(timeline.ordinal.max(initial=0)) + rules.confirm_frames + 1
    key = timeline.media * np.int64(base) + timeline.ordinal
    order = np.argsort(key, kind="stable")
    sorted_key = key[order]
    window = np.full((len(active), rules.confirm_frames), NO_SCORE, np.float32)
    for back in range(rules.confirm_frames):
        wanted = key[active] - back
        place = np.minimum(np.searchsorted(sorted_key, wanted), max(len(key) - 1, 0))
        found = (sorted_key[place] == wanted) & (timeline.ordinal[active] >= back)
        window[found, back] = own[order[place[found]]]
    rank = rules.confirm_frames - rules.confirm_hits
    kth = np.partition(window, rank, axis=1)[:, rank]
    confirmed[active] = np.minimum(own[active], kth)
    return confirmed


def raise_alerts(timeline: Timeline, incidents: Incidents, alarms: Bools, rules: Rules) -> Alerts:
    """Merge alarm frames (bool (T,)) into alerts and hold them against the incidents."""
    position = np.flatnonzero(alarms).astype(np.int64)
    alert = number_alerts(timeline, position, rules.gap_s)
    count = int(alert[-1]) + 1 if len(alert) else 0
    true = np.bincount(alert, timeline.in_zone[position], count) > 0
    known = np.bincount(alert, timeline.known[position], count) > 0
    media = np.zeros(count, np.int64)
    media[alert] = timeline.media[position]
    latency_s = np.full(len(incidents), np.inf)
    first_on_incident = np.zeros(count, np.bool_)
    place = np.searchsorted(position, incidents.low)
    hit = place < len(position)
    hit[hit] = position[place[hit]] < incidents.high[hit]
    first = position[place[hit]]
    latency_s[hit] = timeline.time_s[first] - incidents.start_s[hit]
    first_on_incident[alert[place[hit]]] = True
    return Alerts(
        position=position,
        alert=alert,
        media=media,
        true=true,
        unverified=~true & ~known,
        repeat=true & ~first_on_incident,
        latency_s=latency_s,
    )


def number_alerts(timeline: Timeline, position: Ints, gap_s: float) -> Ints:
    """Alert number int64 (P,) of each alarm frame: a new one after a gap or in another file."""
    new = np.ones(len(position), np.int64)
    new[1:] = (np.diff(timeline.time_s[position]) > gap_s) | (np.diff(timeline.media[position]) > 0)
    return np.cumsum(new) - 1


def incident_scores(incidents: Incidents, scores: Scores) -> Scores:
    """Highest detector threshold at which each incident is detected: float32 (K,)."""
    best = [
        scores[low:high].max(initial=NO_SCORE)
        for low, high in zip(incidents.low, incidents.high, strict=True)
    ]
    return np.array(best, np.float32)
