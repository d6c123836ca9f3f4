"""A run joined to its truth, laid out once for every question about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from forensics.evaluation.align import POSITIVE, Intervals, Labels, TruthBoxes, align
from forensics.evaluation.classes import TARGET
from forensics.evaluation.events import Incidents, Timeline, build_timeline
from forensics.evaluation.ledger import Ledger, count_frames
from forensics.evaluation.log import Bools, Log, read_log
from forensics.evaluation.match import Pairs, alarming, find_pairs
from forensics.evaluation.rules import Rules, known_classes, run_rules, target_classes
from forensics.runlog.reader import RunTables
from forensics.truth.base import Truth


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Everything that does not depend on thresholds; `alarming` bool (D,) as in `match`."""

    run: RunTables
    rules: Rules
    log: Log
    labels: Labels
    pairs: Pairs
    alarming: Bools
    timeline: Timeline
    incidents: Incidents
    ledger: Ledger
    has_truth: bool


def prepare(run: RunTables, truth: Truth | None, rules: Rules | None = None) -> Prepared:
    """Join `truth` to `run`; without truth every frame is unlabelled."""
    rules = rules or run_rules(run)
    log = read_log(run)
    if truth is None:
        labels = _no_labels(log)
    else:
        labels = align(log, truth, rules, target_classes(run), known_classes(run))
        labels = _with_listed(log, labels, truth.planted)
    pairs = find_pairs(log, labels, rules.iou)
    timeline, incidents = build_timeline(log, labels, rules)
    return Prepared(
        run=run,
        rules=rules,
        log=log,
        labels=labels,
        pairs=pairs,
        alarming=alarming(log, labels, pairs),
        timeline=timeline,
        incidents=incidents,
        ledger=count_frames(run, log, labels, incidents, rules),
        has_truth=truth is not None,
    )


def _with_listed(log: Log, labels: Labels, files: frozenset[str]) -> Labels:
    """Targets are planted by their own label, or in a file that is listed, by path or by name."""
    listed = np.array([p in files or PurePosixPath(p).name in files for p in log.path], np.bool_)
    boxes, intervals = labels.boxes, labels.intervals
    here = listed[log.frame_media]
    target = (boxes.kind == TARGET) & here[boxes.frame]
    return replace(
        labels,
        planted=(labels.planted | here) & (labels.frame == POSITIVE),
        boxes=replace(boxes, planted=boxes.planted | target),
        intervals=replace(intervals, planted=intervals.planted | listed[intervals.media]),
    )


def _no_labels(log: Log) -> Labels:
    count = len(log.frame_index)
    none, numbers = np.zeros(0, np.bool_), np.zeros(0, np.int64)
    times = np.zeros(0, np.float64)
    return Labels(
        frame=np.zeros(count, np.int8),
        has_boxes=np.zeros(count, np.bool_),
        planted=np.zeros(count, np.bool_),
        boxes=TruthBoxes(numbers, np.zeros((0, 4)), np.zeros(0, np.int8), (), none),
        intervals=Intervals(numbers, times, times, none),
        matched=0,
        notes=(),
    )
