"""Which detections may take which truth boxes, and who takes what at given survivors.

COCO's greedy rule for one class: detections by descending detector score, each takes the free
truth box of best IoU, if that reaches the threshold; real boxes come before ignore regions. An
ignore region takes any number of detections whose intersection over their own area reaches the
threshold; these are neither true nor false.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.evaluation import kernels
from forensics.evaluation.align import IGNORED as FRAME_IGNORED
from forensics.evaluation.align import NEGATIVE, Labels
from forensics.evaluation.classes import DECOY, IGNORE_REGION, TARGET
from forensics.evaluation.log import Bools, Floats, Ints, Log

NOT_ALIVE, TRUE, FALSE, IGNORED = range(4)
Outcomes = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Overlaps of detections with truth that reach the IoU threshold.

    Candidates are detections with at least one real truth box in reach: `candidate` int64 (C,)
    detection numbers, ascending; candidate k may take truth boxes `gt[start[k]:start[k + 1]]`
    (int64, numbers in `Labels.boxes`) with overlaps `iou` float64. `in_region` bool (D,): inside
    an ignore region. `on_decoy` int64: detections with a decoy in reach, ascending; `decoy_box`:
    the best-overlapping one of each. `n_gt` int64 (M,): real truth boxes per media.
    """

    candidate: Ints
    start: Ints
    gt: Ints
    iou: Floats
    in_region: Bools
    on_decoy: Ints
    decoy_box: Ints
    n_gt: Ints

    @property
    def decoy(self) -> Ints:
        """The best-overlapping decoy in reach of every detection, or -1: int32 (D,)."""
        boxes = np.full(len(self.in_region), -1, np.int32)
        boxes[self.on_decoy] = self.decoy_box
        return boxes


def find_pairs(log: Log, labels: Labels, iou: float) -> Pairs:
    """Compare every detection with every truth box of its frame."""
    boxes = labels.boxes
    n_detections, n_media = len(log.score), len(log.media_id)
    near, left, right = _same_frame(log, labels, None)
    overlap, inside = _overlaps(log.boxes(near)[left], boxes.xyxy[right])
    least = min(iou, 1 - 1e-10)  # as pycocotools: equal boxes match at threshold 1
    kind = boxes.kind[right]
    reach = (kind == TARGET) & (overlap >= least)
    candidate, counts = np.unique(near[left[reach]], return_counts=True)
    in_region = np.zeros(n_detections, np.bool_)
    in_region[near[left[(kind == IGNORE_REGION) & (inside >= least)]]] = True
    decoys = np.flatnonzero((kind == DECOY) & (overlap >= least))
    # By detection, then overlap; of equals the later box: the last of each detection is its best.
    decoys = decoys[np.lexsort((overlap[decoys], left[decoys]))]
    on_decoy = near[left[decoys]]
    best = np.append(on_decoy[1:] != on_decoy[:-1], True)[: len(on_decoy)]
    return Pairs(
        candidate=candidate.astype(np.int64),
        start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        gt=right[reach].astype(np.int64),
        iou=overlap[reach],
        in_region=in_region,
        on_decoy=on_decoy[best],
        decoy_box=right[decoys][best],
        n_gt=np.bincount(
            log.frame_media[boxes.frame[boxes.kind == TARGET]], minlength=n_media
        ).astype(np.int64),
    )


def _same_frame(log: Log, labels: Labels, numbers: Ints | None) -> tuple[Ints, Ints, Ints]:
    """The given detections (None: all) that share a frame with truth boxes, and all their pairs.

    Returns `near`, detection numbers; `left`, positions in `near`, and `right`, truth boxes.
    """
    boxed = np.zeros(len(log.frame_index), np.bool_)
    boxed[labels.boxes.frame] = True
    if numbers is None:
        near: Ints = np.flatnonzero(boxed[log.det_frame])
    else:
        near = numbers[boxed[log.det_frame[numbers]]]
    frame = log.det_frame[near].astype(labels.boxes.frame.dtype)
    first = np.searchsorted(labels.boxes.frame, frame, "left")
    counts = np.searchsorted(labels.boxes.frame, frame, "right") - first
    left = np.repeat(np.arange(len(near)), counts)
    offset = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
    return near, left, first[left] + offset


def overlaps_with(log: Log, labels: Labels, numbers: Ints, kind: int) -> Floats:
    """Best IoU of each given detection with truth boxes of one kind: float64 (n,), 0 for none."""
    best = np.zeros(len(log.score), np.float64)
    near, left, right = _same_frame(log, labels, numbers)
    overlap, _ = _overlaps(log.boxes(near)[left], labels.boxes.xyxy[right])
    wanted = labels.boxes.kind[right] == kind
    np.maximum.at(best, near[left[wanted]], overlap[wanted])
    return np.asarray(best[numbers], np.float64)


def _overlaps(a: NDArray[np.float32], b: Floats) -> tuple[Floats, Floats]:
    """IoU, and intersection over the area of `a`, of paired boxes (n, 4), (n, 4): float64 (n,).

    The same arithmetic as `boxes.iou_matrix`, for pairs that are known in advance.
    """
    first = a.astype(np.float64)
    low, high = np.maximum(first[:, :2], b[:, :2]), np.minimum(first[:, 2:], b[:, 2:])
    sides = np.maximum(high - low, 0)
    shared = sides[:, 0] * sides[:, 1]
    size_a = np.maximum(first[:, 2:] - first[:, :2], 0).prod(axis=1)
    size_b = np.maximum(b[:, 2:] - b[:, :2], 0).prod(axis=1)
    union = size_a + size_b - shared
    zero = np.zeros_like(shared)
    return (
        np.divide(shared, union, out=zero.copy(), where=union > 0),
        np.divide(shared, size_a, out=zero.copy(), where=size_a > 0),
    )


def survivors(log: Log, labels: Labels, detector: float | None, classifier: float | None) -> Bools:
    """Detections that pass both thresholds, on frames that are not ignored: bool (D,).

    Thresholds are cast to float32, the scores' type, so that float32(0.7) reaches 0.7. A
    threshold of None passes everything; a missing (NaN) classifier score passes only None.
    """
    alive = np.asarray(labels.frame != FRAME_IGNORED)[log.det_frame]
    if detector is not None:
        alive &= log.score >= np.float32(detector)
    if classifier is not None:
        alive &= log.target >= np.float32(classifier)
    return alive


def match(pairs: Pairs, alive: Bools) -> tuple[Outcomes, Ints]:
    """Outcome int8 (D,) of every detection, and the truth box int32 (D,) it takes, or -1.

    Only meaningful on frames with box labels; FALSE includes duplicates on a taken box.
    """
    taken = np.full(len(alive), -1, np.int32)
    n_gt = int(pairs.gt.max(initial=-1)) + 1
    taken[pairs.candidate] = kernels.greedy(
        alive[pairs.candidate], pairs.start, pairs.gt, pairs.iou, n_gt
    )
    outcome = np.full(len(alive), NOT_ALIVE, np.int8)
    outcome[alive] = FALSE
    outcome[alive & pairs.in_region] = IGNORED
    outcome[taken >= 0] = TRUE
    return outcome, taken


def alarming(log: Log, labels: Labels, pairs: Pairs) -> Bools:
    """Detections that can raise an alarm at frame and event level, if they survive: bool (D,).

    On a frame without a real target, a detection inside an ignore region raises none: truth
    cannot say whether it is false.
    """
    quiet = pairs.in_region & (labels.frame == NEGATIVE)[log.det_frame]
    return np.asarray(~quiet & (labels.frame != FRAME_IGNORED)[log.det_frame])
