"""Exact surfaces: every count at every pair of detector and classifier thresholds of a grid.

Column 0 is the classifier switched off, in which detections without a classifier score survive;
column j is classifier threshold j - 1. Sources: section 4 of the evaluation's design; the
reference that tests hold this to is `count_arm` at every point.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forensics.errors import ForensicsError
from forensics.evaluation import event_kernels, kernels
from forensics.evaluation.align import NEGATIVE, POSITIVE
from forensics.evaluation.curves import check_floor, ratio
from forensics.evaluation.levels import CASCADE, DETECTOR, count_arm
from forensics.evaluation.log import Ints, Scores
from forensics.evaluation.prepare import Prepared
from forensics.types import OperatingPoint

COUNTS = ("box_tp", "box_fp", "box_ignored", "frame_tp", "frame_fp", "localised_tp")
EVENT_COUNTS = ("alerts", "false_alerts", "unverified_alerts", "detected")
MAX_STEPS = 32_000


@dataclass(frozen=True, slots=True, eq=False)
class Surfaces:
    """Counts int64 (buckets, nd, nc + 1) by name (`COUNTS`, `EVENT_COUNTS`).

    `detector` float32 (nd,), `classifier` float32 (nc,), ascending. A bucket is the whole run, or
    one camera each. `totals` float64 (buckets,) by name are what the counts are shares of:
    n_gt, n_box_frames, n_positive, n_negative, n_incidents, hours_negative. `valid` bool
    (nd, nc + 1) is False where boxes below the run's gate have no classifier score.
    """

    detector: Scores
    classifier: Scores
    counts: dict[str, Ints]
    totals: dict[str, Any]
    valid: Any

    def table(self, bucket: int = 0) -> pd.DataFrame:
        """One row per valid point: thresholds (classifier NaN = off), counts and ratios."""
        at_d, at_c = np.nonzero(self.valid)
        columns: dict[str, Any] = {
            "detector": self.detector[at_d],
            "classifier": np.append(np.float32(np.nan), self.classifier)[at_c],
        }
        counts = {name: grid[bucket][at_d, at_c] for name, grid in self.counts.items()}
        totals = {name: values[bucket] for name, values in self.totals.items()}
        columns |= counts
        columns["box_precision"] = ratio(counts["box_tp"], counts["box_tp"] + counts["box_fp"])
        columns["box_recall"] = ratio(counts["box_tp"], totals["n_gt"])
        columns["frame_precision"] = ratio(
            counts["frame_tp"], counts["frame_tp"] + counts["frame_fp"]
        )
        columns["frame_recall"] = ratio(counts["frame_tp"], totals["n_positive"])
        columns["frame_false_per_million"] = 1e6 * ratio(counts["frame_fp"], totals["n_negative"])
        if "detected" in counts:
            columns["incident_recall"] = ratio(counts["detected"], totals["n_incidents"])
            columns["false_alerts_per_camera_hour"] = ratio(
                counts["false_alerts"], totals["hours_negative"]
            )
        return pd.DataFrame(columns)


def surfaces(
    prepared: Prepared,
    detector: Sequence[float],
    classifier: Sequence[float],
    *,
    events: bool = True,
    by_camera: bool = False,
) -> Surfaces:
    """Count on the whole grid, in one bucket or in one per camera of the log."""
    log = prepared.log
    on_detector, on_classifier = _grid(detector), _grid(classifier)
    check_floor(prepared, on_detector)
    buckets = len(log.camera_names) if by_camera else 1
    of_media = log.camera if by_camera else np.zeros(len(log.media_id), np.int64)
    of_media = of_media.astype(np.min_scalar_type(-buckets))  # one number per frame is kept
    shape = np.array([buckets, len(on_detector), len(on_classifier) + 1])
    a = kernels.bins(log.score, on_detector, 0)
    b = kernels.bins(log.target, on_classifier, 1)
    counts = _box(prepared, a, b, of_media, shape) | _frame(prepared, a, b, of_media, shape)
    if events:
        counts |= _event(prepared, a, b, of_media, shape)
    return Surfaces(
        detector=on_detector,
        classifier=on_classifier,
        counts=counts,
        totals=_totals(prepared, of_media, buckets),
        valid=_valid(prepared, on_detector, len(on_classifier)),
    )


def surfaces_by_counting(
    prepared: Prepared, detector: Sequence[float], classifier: Sequence[float]
) -> Surfaces:
    """The same by counting anew at every point: the slow, plain reference."""
    on_detector, on_classifier = _grid(detector), _grid(classifier)
    names = (*COUNTS, *EVENT_COUNTS)
    shape = (1, len(on_detector), len(on_classifier) + 1)
    counts = {name: np.zeros(shape, np.int64) for name in names}
    for i, at_detector in enumerate(on_detector.tolist()):
        for j, at_classifier in enumerate([None, *on_classifier.tolist()]):
            point = OperatingPoint(at_detector, at_classifier)
            arm = count_arm(prepared, point, DETECTOR if at_classifier is None else CASCADE)
            found = {
                "box_tp": arm.box.tp,
                "box_fp": arm.box.fp,
                "box_ignored": arm.box.ignored,
                "frame_tp": arm.frame.tp,
                "frame_fp": arm.frame.fp,
                "localised_tp": arm.frame.localised_tp,
                "alerts": arm.event.alerts,
                "false_alerts": arm.event.false_alerts,
                "unverified_alerts": arm.event.unverified_alerts,
                "detected": arm.event.detected,
            }
            for name, values in found.items():
                counts[name][0, i, j] = values.sum()
    one = np.zeros(len(prepared.log.media_id), np.int64)
    return Surfaces(
        on_detector,
        on_classifier,
        counts,
        _totals(prepared, one, 1),
        _valid(prepared, on_detector, len(on_classifier)),
    )


def _grid(thresholds: Sequence[float]) -> Scores:
    grid = np.unique(np.asarray(thresholds, np.float32))
    if not len(grid) or len(grid) > MAX_STEPS or not np.all((grid >= 0) & (grid <= 1)):
        raise ForensicsError(f"a grid needs 1 to {MAX_STEPS} thresholds between 0 and 1")
    return grid


def _valid(prepared: Prepared, detector: Scores, n_classifier: int) -> Any:
    gate = np.float32(prepared.run.manifest["thresholds"].get("gate") or 0)
    valid = np.ones((len(detector), n_classifier + 1), np.bool_)
    valid[:, 1:] = (detector >= gate)[:, None]
    return valid


def _totals(prepared: Prepared, of_media: Ints, buckets: int) -> dict[str, Any]:
    ledger, log = prepared.ledger, prepared.log
    n_media = len(log.media_id)
    per_media = {
        "n_gt": prepared.pairs.n_gt,
        "n_box_frames": ledger.box_frames,
        "n_positive": ledger.positive,
        "n_negative": ledger.negative,
        "n_incidents": np.bincount(prepared.incidents.media, minlength=n_media),
        "hours_negative": ledger.hours_negative,
    }
    return {
        name: np.bincount(of_media, values, buckets).astype(np.float64)
        for name, values in per_media.items()
    }


def _add_up(histogram: Ints) -> Ints:
    """Surface of a histogram: its two-dimensional reverse cumulative sum."""
    turned = histogram[:, ::-1, ::-1]
    return np.asarray(turned.cumsum(axis=1).cumsum(axis=2)[:, ::-1, ::-1], np.int64)


def _box(prepared: Prepared, a: Any, b: Any, of_media: Ints, shape: Ints) -> dict[str, Ints]:
    log, pairs = prepared.log, prepared.pairs
    bucket = np.where(prepared.labels.has_boxes, of_media[log.frame_media], -1)
    candidate = np.zeros(len(log.score), np.bool_)
    candidate[pairs.candidate] = True
    counted = ~pairs.in_region | candidate
    alive = kernels.survivor_histogram(a, b, counted, log.det_start, bucket, shape)
    regions = kernels.survivor_histogram(a, b, ~counted, log.det_start, bucket, shape)
    frame = log.det_frame[pairs.candidate]
    group = np.flatnonzero(np.diff(frame, prepend=-1, append=np.iinfo(np.int64).max))
    matched, freed = kernels.greedy_histograms(
        a[pairs.candidate],
        b[pairs.candidate],
        pairs.start,
        pairs.gt,
        pairs.iou,
        pairs.in_region[pairs.candidate],
        group,
        bucket[frame[group[:-1]]],
        shape,
    )
    return {
        "box_tp": _add_up(matched),
        "box_fp": _add_up(alive - matched - freed),
        "box_ignored": _add_up(regions + freed),
    }


def _frame(prepared: Prepared, a: Any, b: Any, of_media: Ints, shape: Ints) -> dict[str, Ints]:
    log, labels = prepared.log, prepared.labels
    bucket = np.where(log.ok, of_media[log.frame_media], -1)
    positive, negative = labels.frame == POSITIVE, labels.frame == NEGATIVE
    candidate = np.zeros(len(log.score), np.bool_)
    candidate[prepared.pairs.candidate] = True
    wanted = {
        "frame_tp": (prepared.alarming, positive),
        "frame_fp": (prepared.alarming, negative),
        "localised_tp": (candidate, positive & labels.has_boxes),
    }
    return {
        name: _add_up(
            kernels.any_histogram(a, b, use, log.det_start, np.where(frames, bucket, -1), shape)
        )
        for name, (use, frames) in wanted.items()
    }


def _event(prepared: Prepared, a: Any, b: Any, of_media: Ints, shape: Ints) -> dict[str, Ints]:
    log, timeline, incidents = prepared.log, prepared.timeline, prepared.incidents
    rules, n_media = prepared.rules, len(prepared.log.media_id)
    state = timeline.known.astype(np.int8)
    state[timeline.in_zone] = 2
    zone = np.stack([incidents.low, incidents.high], axis=1)
    zone_start = np.searchsorted(incidents.media, np.arange(n_media + 1)).astype(np.int64)

    def count(media: tuple[int, int]) -> Ints:
        found: Ints = event_kernels.event_histograms(
            a, b, prepared.alarming, log.det_start, timeline.row, timeline.time_s,
            state, timeline.ordinal, timeline.media_start, zone, zone_start,
            (rules.gap_s, rules.confirm_hits, rules.confirm_frames),
            (int(shape[1]), int(shape[2])), media,
        )  # fmt: skip
        return found

    totals = np.zeros((*shape.tolist(), 4), np.int64)
    edges = _even_ranges(timeline.media_start)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for media, found in zip(edges, pool.map(count, edges), strict=True):
            np.add.at(totals, of_media[media[0] : media[1]], found)
    return {
        "alerts": totals[..., : event_kernels.HIT].sum(axis=-1),
        "false_alerts": totals[..., event_kernels.FALSE],
        "unverified_alerts": totals[..., event_kernels.UNVERIFIED],
        "detected": totals[..., event_kernels.HIT],
    }


def _even_ranges(media_start: Ints) -> list[tuple[int, int]]:
    """Ranges of media with about equally many frames, a few times as many as processors."""
    count = 8 * (os.cpu_count() or 1)
    goals = np.linspace(0, media_start[-1], count + 1)
    edges = np.unique([0, *np.searchsorted(media_start, goals), len(media_start) - 1])
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
