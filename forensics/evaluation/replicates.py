"""Camera bootstrap of whole surfaces: one matrix product for all replicates at all points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.evaluation.log import Floats
from forensics.evaluation.surface import Surfaces

CHUNK = 256


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A ratio with percentile limits at every point: float64 (nd, nc + 1), NaN undefined."""

    value: Floats
    low: Floats
    high: Floats


def ratio_band(
    surfaces: Surfaces,
    count: str,
    total: str,
    *,
    replicates: int,
    seed: int,
    confidence: float = 0.95,
) -> Band:
    """Bootstrap sum(count) / sum(total) over the cameras of `surfaces(..., by_camera=True)`.

    Every point of the surface uses the same draws, so that points can be compared. Percentile
    limits: with few cameras they are too narrow, as the coverage study says.
    """
    counts = surfaces.counts[count].astype(np.float64)
    exposure = surfaces.totals[total]
    n, points = counts.shape[0], counts[0].size
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n, np.full(n, 1 / n), replicates).astype(np.float64)
    below = weights @ exposure
    flat = counts.reshape(n, points)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    limits = np.empty((2, points))
    for start in range(0, points, CHUNK):
        part = slice(start, min(start + CHUNK, points))
        above = weights @ flat[:, part]
        share = above[below > 0] / below[below > 0, None]
        limits[:, part] = _quantiles(share, tails)
    whole = float(exposure.sum())
    value = counts.sum(axis=0) / whole if whole else np.full(counts.shape[1:], np.nan)
    return Band(value, limits[0].reshape(value.shape), limits[1].reshape(value.shape))


def _quantiles(sample: Any, tails: list[float]) -> Any:
    if not len(sample):
        return np.full((2, sample.shape[1]), np.nan)
    # Only the order statistics around the tails are needed: a partition is far below a sort.
    places = [tail * (len(sample) - 1) for tail in tails]
    wanted = sorted({int(f(place)) for place in places for f in (np.floor, np.ceil)})
    ordered = np.partition(sample, wanted, axis=0)
    rows = []
    for place in places:
        low, high = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
        rows.append(low + (high - low) * (place - np.floor(place)))
    return np.stack(rows)
