"""Compiled loops. Each is plain Python below its decorator: `kernel.py_func` is its reference.

Bins: a detection with detector bin `a` and classifier bin `b` survives exactly the grid points
(i, j) with i <= a and j <= b; a bin of -1 never survives. A surface is the two-dimensional
reverse cumulative sum of a signed histogram of such bins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Ints = NDArray[np.signedinteger[Any]]
Bins = NDArray[np.int16]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def compiled(function: Kernel) -> Kernel:
    """Compile with numba, keeping the machine code on disk where that is possible."""
    kernel: Any
    try:
        kernel = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no place to keep it: compiled anew in every process
        kernel = numba.njit(nogil=True)(function)
    return kernel  # type: ignore[no-any-return]


@compiled
def greedy(alive: Bools, start: Ints, gt: Ints, iou: Floats, n_gt: int) -> Ints:
    """COCO greedy matching: the truth box that each candidate detection takes, or -1.

    `alive` bool (C,): candidates in rank order within each frame; candidate k may take the truth
    boxes `gt[start[k]:start[k + 1]]`, whose overlaps `iou` reach the threshold. Each takes the
    free one of best overlap; on a tie the later one, as pycocotools does.
    """
    taken = np.zeros(n_gt, np.bool_)
    found = np.full(alive.size, -1, np.int64)
    for k in range(alive.size):
        if not alive[k]:
            continue
        best = -1.0
        choice = -1
        for e in range(start[k], start[k + 1]):
            if not taken[gt[e]] and iou[e] >= best:
                best = iou[e]
                choice = gt[e]
        if choice >= 0:
            taken[choice] = True
            found[k] = choice
    return found


@compiled
def group_starts(group: Ints, groups: int) -> NDArray[np.int32]:
    """Where each group begins in ascending group numbers: int32 (groups + 1,)."""
    out = np.zeros(groups + 1, np.int32)
    for i in range(group.size):
        out[group[i] + 1] += 1
    for g in range(groups):
        out[g + 1] += out[g]
    return out


@compiled
def best_scores(alive: Bools, start: Ints, score: NDArray[np.float32]) -> NDArray[np.float32]:
    """Score of the first alive detection of each group, as they stand by falling score; -inf for
    none. Group g holds detections `start[g]:start[g + 1]`: float32 (groups,)."""
    out = np.full(start.size - 1, -np.inf, np.float32)
    for g in range(start.size - 1):
        for i in range(start[g], start[g + 1]):
            if alive[i]:
                out[g] = score[i]
                break
    return out


@compiled
def bins(values: NDArray[np.float32], thresholds: NDArray[np.float32], base: int) -> Bins:
    """Highest threshold number that each value reaches, plus `base`; `base` - 1 below the first.

    NaN counts as below the first threshold: an unscored crop must never pass.
    """
    out = np.empty(values.size, np.int16)
    for i in range(values.size):
        low = 0
        high = thresholds.size
        while low < high:
            middle = (low + high) // 2
            if values[i] >= thresholds[middle]:
                low = middle + 1
            else:
                high = middle
        out[i] = low - 1 + base
    return out


@compiled
def survivor_histogram(
    a: Bins, b: Bins, use: Bools, start: Ints, bucket: Ints, shape: Ints
) -> Ints:
    """Histogram int64 (buckets, nd, nc) of the bins of the detections in `use`.

    Group g (a frame) holds detections `start[g]:start[g + 1]` and counts in `bucket[g]`, or
    nowhere when that is -1.
    """
    histogram = np.zeros((shape[0], shape[1], shape[2]), np.int64)
    for g in range(start.size - 1):
        if bucket[g] < 0:
            continue
        for i in range(start[g], start[g + 1]):
            if use[i] and a[i] >= 0 and b[i] >= 0:
                histogram[bucket[g], a[i], b[i]] += 1
    return histogram


@compiled
def any_histogram(a: Bins, b: Bins, use: Bools, start: Ints, bucket: Ints, shape: Ints) -> Ints:
    """Signed histogram of "at least one survivor" in each group; groups as above.

    A union of lower-left orthants is a staircase: walking by descending `a`, as detections stand
    in their group, each new maximum of `b` adds its corner and takes back the one it covers.
    """
    histogram = np.zeros((shape[0], shape[1], shape[2]), np.int64)
    for g in range(start.size - 1):
        if bucket[g] < 0:
            continue
        highest = -1
        for i in range(start[g], start[g + 1]):
            if use[i] and a[i] >= 0 and b[i] > highest:
                histogram[bucket[g], a[i], b[i]] += 1
                if highest >= 0:
                    histogram[bucket[g], a[i], highest] -= 1
                highest = b[i]
    return histogram


@compiled
def greedy_histograms(  # noqa: C901, PLR0913 - one compiled loop nest
    a: Bins,
    b: Bins,
    start: Ints,
    gt: Ints,
    iou: Floats,
    ignorable: Bools,
    group: Ints,
    bucket: Ints,
    shape: Ints,
) -> tuple[Ints, Ints]:
    """Signed histograms of matched, and of unmatched but ignorable, candidate detections.

    Candidates as in `greedy`, in groups (one frame each) `group[g]:group[g + 1]`. Matching is run
    again for every distinct classifier bin of the group, because a classifier that rejects a
    detection frees its truth box for another; within one such pass, a decision depends only on
    better-ranked candidates, so it holds for every lower detector threshold.
    """
    matched = np.zeros((shape[0], shape[1], shape[2]), np.int64)
    ignored = np.zeros((shape[0], shape[1], shape[2]), np.int64)
    taken = np.full(gt.max() + 1 if gt.size else 0, -1, np.int64)
    run = 0
    for g in range(group.size - 1):
        levels = np.unique(b[group[g] : group[g + 1]])
        previous = -1
        for level in levels:
            if level < 0:
                continue
            run += 1
            for k in range(group[g], group[g + 1]):
                if a[k] < 0 or b[k] < level:
                    continue
                best = -1.0
                choice = -1
                for e in range(start[k], start[k + 1]):
                    if taken[gt[e]] != run and iou[e] >= best:
                        best = iou[e]
                        choice = gt[e]
                if choice >= 0:
                    taken[choice] = run
                    matched[bucket[g], a[k], level] += 1
                    if previous >= 0:
                        matched[bucket[g], a[k], previous] -= 1
                elif ignorable[k]:
                    ignored[bucket[g], a[k], level] += 1
                    if previous >= 0:
                        ignored[bucket[g], a[k], previous] -= 1
            previous = level
    return matched, ignored
