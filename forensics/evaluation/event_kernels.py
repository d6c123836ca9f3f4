"""Compiled loops over the timeline: alerts and incidents at every pair of thresholds.

Bins as in `kernels`. T timeline frames stand by media, then time. Media are independent, so that
ranges of them can be counted in parallel and added up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forensics.evaluation.kernels import Bins, Bools, Floats, Ints, compiled

Places = NDArray[np.int32]
UNVERIFIED, FALSE, TRUE, HIT = range(4)


@compiled
def event_histograms(  # noqa: PLR0913 - one compiled loop nest
    a: Bins,
    b: Bins,
    use: Bools,
    start: Ints,
    row: Ints,
    time_s: Floats,
    state: Ints,
    ordinal: Ints,
    media_start: Ints,
    zone: Ints,
    zone_start: Ints,
    rule: tuple[float, int, int],
    shape: tuple[int, int],
    media: tuple[int, int],
) -> Ints:
    """Alerts and incidents hit of the media range: int64 (media, nd, nc, 4), last axis as above.

    `row` int64 (T,) frame rows; frame r holds detections `start[r]:start[r + 1]` by falling `a`.
    `state` int64 (T,): 0 unlabelled, 1 labelled and outside every zone, 2 in a zone; an alert has
    the highest state of its frames. Media v has timeline frames `media_start[v]:...` and
    incidents `zone_start[v]:...`, each with frames `zone[k, 0]:zone[k, 1]`. `rule`: gap in
    seconds, hits and frames of the confirmation.
    """
    nd, nc = shape
    gap_s, hits, frames = rule
    out = np.zeros((media[1] - media[0], nd, nc, 4), np.int64)
    for v in range(media[0], media[1]):
        first = media_start[v]
        n = media_start[v + 1] - first
        bins_a, bins_b, frame = _collect(a, b, use, start, row[first : first + n])
        kept = bins_a.size
        work = np.empty((4, n), np.int32)
        own = np.empty(n, np.int16)
        for level in range(nc):
            kept = _best_per_frame(bins_a, bins_b, frame, kept, level, own)
            if kept == 0:
                break
            if hits > 1:
                own[:] = _confirmed(own, ordinal[first : first + n], hits, frames)
            totals = out[v - media[0], :, level, :]
            _count_alerts(own, time_s[first:], state[first:], gap_s, work, totals)
            for k in range(zone_start[v], zone_start[v + 1]):
                best = -1
                for t in range(zone[k, 0] - first, zone[k, 1] - first):
                    best = max(best, own[t])
                for d in range(best + 1):
                    totals[d, HIT] += 1
    return out


@compiled
def _collect(a: Bins, b: Bins, use: Bools, start: Ints, row: Ints) -> tuple[Bins, Bins, Places]:
    """Bins, and timeline frame, of the detections that survive anywhere on the grid."""
    n = 0
    for t in range(row.size):
        n += start[row[t] + 1] - start[row[t]]
    bins_a = np.empty(n, np.int16)
    bins_b = np.empty(n, np.int16)
    frame = np.empty(n, np.int32)
    n = 0
    for t in range(row.size):
        for i in range(start[row[t]], start[row[t] + 1]):
            if use[i] and a[i] >= 0 and b[i] >= 0:
                bins_a[n] = a[i]
                bins_b[n] = b[i]
                frame[n] = t
                n += 1
    return bins_a[:n], bins_b[:n], frame[:n]


@compiled
def _best_per_frame(
    bins_a: Bins, bins_b: Bins, frame: Places, kept: int, level: int, own: Bins
) -> int:
    """Fill `own` with each frame's best detector bin at classifier bin `level` or above.

    Detections below `level` are dropped for good, as levels only rise: returns how many stay.
    """
    own[:] = -1
    n = 0
    for i in range(kept):
        if bins_b[i] >= level:
            bins_a[n] = bins_a[i]
            bins_b[n] = bins_b[i]
            frame[n] = frame[i]
            own[frame[n]] = max(own[frame[n]], bins_a[n])
            n += 1
    return n


@compiled
def _confirmed(own: Bins, ordinal: Ints, hits: int, frames: int) -> Bins:
    """Highest detector bin at which each frame is confirmed: the lesser of its own bin and the
    `hits`-th best among the last `frames` processed frames of its media, itself included."""
    out = np.full(own.size, -1, np.int16)
    window = np.empty(frames, np.int64)
    for t in range(own.size):
        if own[t] < 0:
            continue
        n = 0
        back = t
        while back >= 0 and ordinal[back] > ordinal[t] - frames:
            window[n] = own[back]
            n += 1
            back -= 1
        if n >= hits:
            out[t] = min(own[t], np.sort(window[:n])[n - hits])
    return out


@compiled
def _count_alerts(  # noqa: C901 - one compiled loop nest
    own: Bins, time_s: Floats, state: Ints, gap_s: float, work: Places, totals: Ints
) -> None:
    """Write the alerts of one media, by detector threshold and state, to `totals` (nd, 4).

    Frames enter by falling bin. Neighbours at entry come from running the entries backwards, as
    deletions from a linked list; union-find keeps which frames are one alert.
    """
    nd = totals.shape[0]
    before, after, parent, order = work[0], work[1], work[2], work[3]
    upto = np.zeros(nd + 1, np.int64)
    last = -1
    for t in range(own.size):
        if own[t] >= 0:
            upto[own[t] + 1] += 1
            before[t] = last
            if last >= 0:
                after[last] = t
            after[t] = -1
            last = t
    for d in range(nd):
        upto[d + 1] += upto[d]
    place = upto.copy()
    for t in range(own.size):
        if own[t] >= 0:
            order[place[own[t]]] = t
            place[own[t]] += 1
    n = int(upto[nd])
    for r in range(n):
        t = order[r]
        if before[t] >= 0:
            after[before[t]] = after[t]
        if after[t] >= 0:
            before[after[t]] = before[t]
    kind = np.empty(own.size, np.int8)
    counts = np.zeros(3, np.int64)
    r = n - 1
    for d in range(nd - 1, -1, -1):
        while r >= upto[d]:
            t = order[r]
            r -= 1
            parent[t] = t
            kind[t] = state[t]
            counts[kind[t]] += 1
            for other in (before[t], after[t]):
                if other >= 0 and abs(time_s[other] - time_s[t]) <= gap_s:
                    _join(parent, kind, counts, t, other)
        for s in range(3):
            totals[d, s] = counts[s]


@compiled
def _join(parent: Places, kind: NDArray[np.int8], counts: Ints, i: int, j: int) -> None:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    while parent[j] != j:
        parent[j] = parent[parent[j]]
        j = parent[j]
    if i == j:
        return
    counts[kind[i]] -= 1
    counts[kind[j]] -= 1
    parent[i] = j
    kind[j] = max(kind[i], kind[j])
    counts[kind[j]] += 1
