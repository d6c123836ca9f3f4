"""Limits of a camera bootstrap that hold with few cameras, of unequal rates.

The percentiles of a bootstrap are too narrow with few clusters: the replicates vary by a factor
sqrt((n - 1) / n) too little, and their levels are those of a normal instead of a t distribution.
The expanded percentile interval (Hesterberg 2015, What teachers should know about the bootstrap,
The American Statistician 69(4):371-386; `ExpandProbs` of his R package resample) takes the levels

    Phi(-+ sqrt(n / (n - 1)) t),  t the quantile of Student's distribution with n - 1 degrees.

Cameras are not alike: one that raises half of all alarms tells half of what there is to know. So n
is not their number but their effective number (Kish 1965, Survey Sampling)

    n = (sum m)^2 / sum m^2,  m the events of each camera.

It is what Satterthwaite (1946, Biometrics Bulletin 2:110-114) gives as the degrees of freedom of a
sum over cameras whose variances go with their events; one is taken off for the estimated figure.
(Of unequal weights likewise: Potthoff, Woodbury and Manton 1992, JASA 87:383-396.)

No level is below a 25th of the plain one, 0.001 for 95 %: two of 2,000 replicates lie beyond. The
very lowest and highest would say more of the seed than of the cameras. That bounds the limits where
the effective number is 5 or less. How often they hold the truth: reports/coverage.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

KIND = "expanded percentile"
MOST_EXPANDED = 25


def effective_cameras(events: Floats) -> Floats:
    """Cameras of equal events that would tell as much: float64 (...) of (cameras, ...); 0 for none.

    `events` are those that decide how much a camera sways the figure: trials of a share, events of
    both sides of a comparison.
    """
    total, squares = events.sum(axis=0), (events**2).sum(axis=0)
    return np.asarray(total**2 / np.where(squares > 0, squares, 1.0))


def expanded_levels(confidence: float, cameras: Floats | float) -> Floats:
    """Lower and upper level of the percentiles of a two-sided interval: float64 (2, ...).

    `cameras` is their effective number, (...).
    """
    n = np.asarray(cameras, np.float64)
    free = np.maximum(n - 1, 0.05)  # far below what the bound lets matter, and no overflow
    reach = np.sqrt(1 + 1 / free) * special.stdtrit(free, (1 + confidence) / 2)
    low = np.maximum(special.ndtr(-reach), (1 - confidence) / 2 / MOST_EXPANDED)
    return np.stack([low, 1 - low])


def ratio_limits(top: Floats, bottom: Floats, levels: Floats) -> tuple[float | None, float | None]:
    """Percentiles of top / bottom over replicates; None for one beyond all numbers.

    Replicates with nothing on either side are left out. Where all of them are equal the cameras say
    nothing of how far the figure may be off: both are None.
    """
    some = (top != 0) | (bottom != 0)
    top, bottom = top[some], bottom[some]
    if not len(top):
        return None, None
    sample = np.divide(top, bottom, out=np.full(len(top), np.inf), where=bottom > 0)
    if sample.min() == sample.max():
        return None, None
    low, high = np.quantile(sample, levels, method="inverted_cdf").tolist()
    return (low if np.isfinite(low) else None), (high if np.isfinite(high) else None)


def counted(cameras: int, effective: float) -> str:
    """In words, of how many cameras a figure is, and as how many equal ones they count."""
    return f"over {cameras} cameras that count as {effective:.1f} alike"
