"""Denominators: what was footage, processed, evaluated; and how long truth says "no target".

Per media: frames of footage = processed + undecodable + left out by sampling and the like;
processed = evaluated + unlabelled + ignored; evaluated = positive + negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forensics.evaluation.align import IGNORED, NEGATIVE, POSITIVE, UNLABELLED, Labels
from forensics.evaluation.events import Incidents
from forensics.evaluation.log import Floats, Ints, Log
from forensics.evaluation.rules import Rules
from forensics.runlog.reader import RunTables
from forensics.types import CoverageState, Status

# A step of the clock this much longer than the median one, and than was planned, is a hole: the
# camera recorded nothing, or what it recorded is gone. Nobody watched there.
MOST_STEPS, LEAST_HOLE_S = 5, 1.0
LEAST_S = 1e-6  # below the resolution of any clock: what is left of subtracting equal times

Holes = dict[int, list[tuple[float, float]]]
_UNSEEN = (CoverageState.UNDECODABLE, CoverageState.NOT_REACHED)


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """Counts per media, int64 (M,) each, and float64 `hours_negative`.

    `box_frames` are those that count at box level, `timed_frames` the evaluated ones with a time,
    `coverage_unknown` spans of unknown length, `files_lost` names of inputs that gave no frame.
    """

    footage: Ints
    processed: Ints
    undecodable: Ints
    unlabelled: Ints
    ignored: Ints
    positive: Ints
    negative: Ints
    box_frames: Ints
    timed_frames: Ints
    suspect: Ints
    hours_negative: Floats
    coverage_unknown: int
    files_lost: tuple[str, ...]

    @property
    def evaluated(self) -> Ints:
        return self.positive + self.negative


def count_frames(
    run: RunTables, log: Log, labels: Labels, incidents: Incidents, rules: Rules
) -> Ledger:
    """Count the frames of every media by what is known about them."""
    count = log.count
    label = labels.frame
    evaluated = log.ok & ((label == NEGATIVE) | (label == POSITIVE))
    processed = count(log.ok)
    errors = count(~log.ok)
    unread, other, unknown, holes = _coverage(run, log)
    undecodable = np.maximum(errors, unread)
    return Ledger(
        footage=processed + undecodable + other,
        processed=processed,
        undecodable=undecodable,
        unlabelled=count(log.ok & (label == UNLABELLED)),
        ignored=count(log.ok & (label == IGNORED)),
        positive=count(log.ok & (label == POSITIVE)),
        negative=count(log.ok & (label == NEGATIVE)),
        box_frames=count(labels.has_boxes),
        timed_frames=count(evaluated & ~np.isnan(log.time_s)),
        suspect=count(evaluated & log.suspect),
        hours_negative=_hours_negative(
            log, labels, _Clocks(incidents, rules, holes, planned_step_s(run))
        ),
        coverage_unknown=unknown,
        files_lost=_files_lost(run),
    )


def _coverage(run: RunTables, log: Log) -> tuple[Ints, Ints, int, Holes]:
    """Frames undecodable and otherwise left out, spans of unknown length, and unread times."""
    unread = np.zeros(len(log.media_id), np.int64)
    other = np.zeros_like(unread)
    unknown = 0
    holes: Holes = {}
    codes = {media_id: code for code, media_id in enumerate(log.media_id)}
    wanted = ["media_id", "path", "state", "n_frames", "start_time_s", "stop_time_s"]
    for row in run.coverage.select(wanted).to_pylist():
        code = codes.get(row["media_id"])
        if row["state"] == CoverageState.SCANNED:
            continue
        if code is None or log.path[code] != row["path"]:
            continue  # no frames at all (see `files_lost`), or a copy of counted footage
        if row["n_frames"] is None:
            unknown += 1
        elif row["state"] == CoverageState.UNDECODABLE:
            unread[code] += row["n_frames"]
        else:
            other[code] += row["n_frames"]
        start_s, stop_s = row["start_time_s"], row["stop_time_s"]
        if row["state"] in _UNSEEN and start_s is not None and stop_s is not None:
            holes.setdefault(code, []).append((start_s, stop_s))
    return unread, other, unknown, holes


def _files_lost(run: RunTables) -> tuple[str, ...]:
    rows = run.media.select(["path", "status"]).to_pylist()
    return tuple(row["path"] for row in rows if row["status"] not in (Status.OK, Status.PARTIAL))


def planned_step_s(run: RunTables) -> float:
    """The longest time that the scan itself left between two frames, sampling or static."""
    sampling = run.manifest.get("sampling") or {}
    static = sampling.get("static") or {}
    return max(sampling.get("time_step_s") or 0.0, static.get("refresh_s") or 0.0)


def frame_lengths(time_s: Floats, planned_s: float) -> Floats:
    """Seconds that each frame of a file lasts, float64 (n,); `time_s` ascending.

    Until the next one; the last frame, and one before a hole in the clock, as long as the median.
    """
    steps = np.diff(time_s)
    usual = float(np.median(steps)) if len(steps) else 0.0
    hole_s = max(MOST_STEPS * usual, planned_s + usual, LEAST_HOLE_S)
    return np.append(np.where(steps > hole_s, usual, steps), usual)


@dataclass(frozen=True, slots=True)
class _Clocks:
    """What is taken out of the time that truth calls without a target."""

    incidents: Incidents
    rules: Rules
    holes: Holes
    planned_s: float


def _hours_negative(log: Log, labels: Labels, clocks: _Clocks) -> Floats:
    """Hours of evaluable time outside incidents and their collars, by pts: float64 (M,).

    For how long a frame counts: see `frame_lengths`. Unread spans are taken out.
    """
    hours = np.zeros(len(log.media_id), np.float64)
    evaluable = log.ok & ((labels.frame == NEGATIVE) | (labels.frame == POSITIVE))
    for code in np.flatnonzero(log.count(evaluable & ~np.isnan(log.time_s))).tolist():
        rows = slice(log.media_start[code], log.media_start[code + 1])
        clocked = ~np.isnan(log.time_s[rows])
        order = np.argsort(log.time_s[rows][clocked], kind="stable")
        time_s = log.time_s[rows][clocked][order]
        stop_s = time_s + frame_lengths(time_s, clocks.planned_s)
        spans = _excluded(code, clocks.incidents, clocks.rules, clocks.holes.get(code, []))
        outside = _outside(spans)
        lasting = outside(stop_s) - outside(time_s)
        lasting[lasting < LEAST_S] = 0.0
        hours[code] = float(lasting[evaluable[rows][clocked][order]].sum()) / 3600
    return hours


def _excluded(
    code: int, incidents: Incidents, rules: Rules, holes: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    mine = incidents.media == code
    zones = zip(
        (incidents.start_s[mine] - rules.collar_s).tolist(),
        (incidents.end_s[mine] + rules.collar_s).tolist(),
        strict=True,
    )
    merged: list[tuple[float, float]] = []
    for start_s, stop_s in sorted([*zones, *holes]):
        if merged and start_s <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop_s))
        elif stop_s > start_s:
            merged.append((start_s, stop_s))
    return merged


def _outside(spans: list[tuple[float, float]]) -> Callable[[Floats], Floats]:
    """Time up to t that lies outside disjoint ascending spans, up to a constant, as a function."""
    if not spans:
        return lambda time_s: time_s
    edges = np.array(spans, np.float64)
    lengths = edges[:, 1] - edges[:, 0]
    before = np.concatenate([[0.0], np.cumsum(lengths)])

    def measure(time_s: Floats) -> Floats:
        place = np.searchsorted(edges[:, 0], time_s, "right")
        within = np.where(
            place > 0, np.minimum(time_s - edges[place - 1, 0], lengths[place - 1]), 0
        )
        return np.asarray(time_s - before[np.maximum(place - 1, 0)] - within, np.float64)

    return measure
