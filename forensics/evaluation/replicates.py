"""Camera bootstrap of whole surfaces: one matrix product for all replicates at all points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensics.evaluation.log import Floats
from forensics.evaluation.resampled import effective_cameras, expanded_levels
from forensics.evaluation.surface import Surfaces

CHUNK = 256


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A ratio with its limits at every point: float64 (nd, nc + 1), NaN undefined."""

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

    Every point of the surface uses the same draws, so that points can be compared. The limits are
    expanded percentiles, at levels of each point's own effective number of cameras: `resampled`.
    """
    counts = surfaces.counts[count].astype(np.float64)
    exposure = surfaces.totals[total]
    n, points = counts.shape[0], counts[0].size
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n, np.full(n, 1 / n), replicates).astype(np.float64)
    below = weights @ exposure
    flat = counts.reshape(n, points)
    levels = expanded_levels(confidence, effective_cameras(flat))
    limits = np.empty((2, points))
    for start in range(0, points, CHUNK):
        part = slice(start, min(start + CHUNK, points))
        above = weights @ flat[:, part]
        share = above[below > 0] / below[below > 0, None]
        limits[:, part] = _quantiles(share, levels[:, part])
    whole = float(exposure.sum())
    value = counts.sum(axis=0) / whole if whole else np.full(counts.shape[1:], np.nan)
    return Band(value, limits[0].reshape(value.shape), limits[1].reshape(value.shape))


def _quantiles(sample: Floats, levels: Floats) -> Floats:
    """Quantiles of each column of `sample` (replicates, points) at its own `levels` (2, points)."""
    if not len(sample):
        return np.full(levels.shape, np.nan)
    ordered = np.sort(sample.T, axis=1).T
    places = levels * (len(sample) - 1)
    below = np.floor(places).astype(np.int64)
    above = np.ceil(places).astype(np.int64)
    low, high = (np.take_along_axis(ordered, rows, axis=0) for rows in (below, above))
    return np.asarray(low + (high - low) * (places - below))
