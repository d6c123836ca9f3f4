"""How sure a match is: the moved side's threshold is chosen anew in every bootstrap replicate.

One side keeps its operating point; the other moves its detector threshold until it has as much
recall, or as few false alarms. As the match is found on the very footage that is judged, each
replicate of the cameras finds its own. Only the scores at which something true is found can matter
to either match, so that only they are tried. The levels of the percentiles: see `resampled`; the
events of a camera are those of both sides at the match that was observed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from forensics.evaluation.align import NEGATIVE, POSITIVE
from forensics.evaluation.events import NO_SCORE, alarm_scores, frame_scores, incident_scores
from forensics.evaluation.log import Floats, Ints, Scores
from forensics.evaluation.match import survivors
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import ALL_EQUAL, FEW_CAMERAS, Interval, no_events_ratio
from forensics.evaluation.resampled import (
    KIND,
    counted,
    effective_cameras,
    expanded_levels,
    ratio_limits,
)
from forensics.evaluation.result import per_camera

MOST_THRESHOLDS = 4096
CHUNK = 128


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Hits and false alarm frames by camera: float64 (cameras,), or (cameras, thresholds)."""

    hits: Floats
    false: Floats


@dataclass(frozen=True, slots=True)
class Moved:
    """The side whose detector threshold moves, from `lowest` up; `classifier` None: off."""

    prepared: Prepared
    classifier: float | None
    lowest: float


def ratio_at_recall(moved: Moved, kept: Sums, incidents: bool) -> Interval:
    """Limits of the kept side's false alarm frames over the moved side's at equal recall."""
    rows = _replicates(moved, kept, incidents)
    if isinstance(rows, Interval):
        return rows
    # Thresholds ascend: the last that still reaches the recall is the strictest.
    fits = rows.fits_recall
    fine = (fits >= 0) & (rows.hits > 0) & (rows.false + rows.false_at_recall > 0)
    top, bottom = rows.false[fine], rows.false_at_recall[fine]
    if not kept.false.any() and rows.alarms.any():
        limits = no_events_ratio(float(rows.alarms.sum()), moved.prepared.rules.confidence)
        return replace(limits, value=None)
    return _limits(top, bottom, rows.alarms, moved)


def difference_at_false_alarms(moved: Moved, kept: Sums, incidents: bool) -> Interval:
    """Limits of the kept side's recall less the moved side's at no more false alarm frames."""
    rows = _replicates(moved, kept, incidents)
    if isinstance(rows, Interval):
        return rows
    fine = rows.total > 0
    difference = rows.hits - rows.hits_within
    return _limits(difference[fine], rows.total[fine], rows.found, moved)


@dataclass(frozen=True, slots=True, eq=False)
class _Replicates:
    """Sums of each replicate, (replicates,): the kept side's, and the moved side's where matched.

    `fits_recall` is the place of the threshold that reaches the kept recall, -1 for none. `alarms`
    and `found` are what both sides have by camera where matched on the footage itself, (cameras,):
    false alarm frames at equal recall, hits at equal false alarms.
    """

    hits: Floats
    false: Floats
    total: Floats
    fits_recall: Ints
    false_at_recall: Floats
    hits_within: Floats
    alarms: Floats
    found: Floats


def _replicates(moved: Moved, kept: Sums, incidents: bool) -> _Replicates | Interval:
    prepared, rules = moved.prepared, moved.prepared.rules
    swept, total = _swept(moved, incidents)
    used = (total > 0) | (per_camera(prepared, prepared.ledger.negative) > 0)
    n = int(used.sum())
    if n < 2:
        return Interval(None, None, None, "no interval: one camera")
    draws = np.random.default_rng(rules.seed).multinomial(n, np.full(n, 1 / n), rules.replicates)
    weights = draws.astype(np.float64)
    swept = Sums(swept.hits[used], swept.false[used])
    kept = Sums(kept.hits[used], kept.false[used])
    fits_recall = np.empty(len(weights), np.int64)
    false_at_recall, hits_within = np.empty(len(weights)), np.empty(len(weights))
    for start in range(0, len(weights), CHUNK):
        part = slice(start, start + CHUNK)
        fits, within, moved_hits, moved_false = _places(weights[part], swept, kept)
        row = np.arange(len(fits))
        fits_recall[part], false_at_recall[part] = fits, moved_false[row, fits]
        hits_within[part] = moved_hits[row, within]
    fits, within, _, _ = _places(np.ones((1, n)), swept, kept)
    return _Replicates(
        hits=weights @ kept.hits,
        false=weights @ kept.false,
        total=weights @ total[used],
        fits_recall=fits_recall,
        false_at_recall=false_at_recall,
        hits_within=hits_within,
        alarms=kept.false + swept.false[:, fits[0]],
        found=kept.hits + swept.hits[:, within[0]],
    )


def _places(weights: Floats, swept: Sums, kept: Sums) -> tuple[Ints, Ints, Floats, Floats]:
    """Threshold with the kept recall, -1 for none, and the one with no more false alarms: (rows,).

    Rows are of `weights` (rows, cameras); last the moved side's sums, (rows, thresholds).
    """
    moved_hits, moved_false = weights @ swept.hits, weights @ swept.false
    # Both fall along the thresholds, so that counting finds the place.
    fits = (moved_hits >= (weights @ kept.hits)[:, None]).sum(axis=1) - 1
    within = (moved_false > (weights @ kept.false)[:, None]).sum(axis=1)
    return fits, within, moved_hits, moved_false


def _swept(moved: Moved, incidents: bool) -> tuple[Sums, Floats]:
    """Counts by camera at each threshold tried, ascending, the last above all; and positives."""
    prepared = moved.prepared
    log, ledger, label = prepared.log, prepared.ledger, prepared.labels.frame
    alive = survivors(log, prepared.labels, None, moved.classifier) & prepared.alarming
    frames = frame_scores(log, alive)
    false = np.flatnonzero((frames >= moved.lowest) & log.ok & (label == NEGATIVE))
    if incidents:
        alarms = alarm_scores(log, prepared.timeline, alive, prepared.rules)
        scores, media = incident_scores(prepared.incidents, alarms), prepared.incidents.media
        total = np.bincount(media, minlength=len(log.media_id))
    else:
        rows = np.flatnonzero(log.ok & (label == POSITIVE))
        scores, media, total = frames[rows], log.frame_media[rows], ledger.positive
    tried = np.unique(scores[(scores > NO_SCORE) & (scores >= moved.lowest)])
    if len(tried) > MOST_THRESHOLDS:
        places = np.linspace(0, len(tried) - 1, MOST_THRESHOLDS)
        tried = tried[np.unique(places.round().astype(np.int64))]
    return Sums(
        _at_least(prepared, scores, media, tried),
        _at_least(prepared, frames[false], log.frame_media[false], tried),
    ), per_camera(prepared, total)


def _at_least(prepared: Prepared, scores: Scores, media: Ints, thresholds: Scores) -> Floats:
    """How many scores of each camera reach each threshold: float64 (cameras, thresholds + 1)."""
    cameras, columns = len(prepared.log.camera_names), len(thresholds) + 1
    place = np.searchsorted(thresholds, scores, "right")
    cell = prepared.log.camera[media] * columns + place
    counts = np.bincount(cell, minlength=cameras * columns).reshape(cameras, columns)
    found = np.zeros((cameras, columns))
    found[:, :-1] = counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    return found


def _limits(top: Floats, bottom: Floats, events: Floats, moved: Moved) -> Interval:
    """Limits of top / bottom over replicates; one beyond all numbers is None.

    `events` (cameras,) are those that decide how much a camera sways the figure.
    """
    rules, n = moved.prepared.rules, len(events)
    effective = float(effective_cameras(events))
    words = (
        f"paired camera bootstrap ({KIND}) {counted(n, effective)}, "
        f"{100 * rules.confidence:g} %, threshold chosen anew in each of {rules.replicates} "
        f"replicates, seed {rules.seed}; defined in {len(top)} of them"
    )
    words += f"; under {FEW_CAMERAS} cameras: too narrow" if n < FEW_CAMERAS else ""
    if not len(top):
        return Interval(None, None, None, words)
    levels = expanded_levels(rules.confidence, effective)
    low, high = ratio_limits(top, bottom, levels)
    if low is None and high is None:
        return Interval(None, None, None, ALL_EQUAL)
    if high is None:
        words += "; no upper limit: in some of them the other side has no false alarm"
    return Interval(None, low, high, words)
