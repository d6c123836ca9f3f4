"""Paired comparison of two arms, or two runs, over the same cameras.

Both are judged on the same footage, so that what a camera adds to one it tends to add to the
other: resampling cameras with both sides together keeps that, and gives far narrower intervals
than comparing two separate ones. Sources: McNemar 1947, exact; the sign-flip permutation test of
paired differences; the bootstrap's levels: see `resampled`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from forensics.evaluation.log import Floats
from forensics.evaluation.rates import (
    ALL_EQUAL,
    FEW_CAMERAS,
    Interval,
    no_events_ratio,
    undefined,
)
from forensics.evaluation.resampled import (
    KIND,
    counted,
    effective_cameras,
    expanded_levels,
    ratio_limits,
)

MAX_EXACT_CAMERAS = 16


@dataclass(frozen=True, slots=True)
class Paired:
    """Side b against side a: difference and ratio of their rates, and a test of no difference."""

    difference: Interval
    ratio: Interval
    p_value: float | None
    test: str

    def to_json(self) -> dict[str, Any]:
        return {
            "difference": self.difference.to_json(),
            "ratio": self.ratio.to_json(),
            "p_value": self.p_value,
            "test": self.test,
        }


def compare_rates(
    a: Floats, b: Floats, exposure: Floats, *, confidence: float, replicates: int, seed: int
) -> Paired:
    """Compare b / exposure with a / exposure; `a`, `b`, `exposure` float64 (cameras,)."""
    used = exposure > 0
    a, b, exposure = a[used], b[used], exposure[used]
    if not len(a):
        nothing = undefined("undefined: nothing was exposed")
        return Paired(nothing, nothing, None, "none")
    draws = np.random.default_rng(seed).integers(0, len(a), (replicates, len(a)))
    effective = float(effective_cameras(a + b))
    levels = expanded_levels(confidence, effective)
    words = (
        f"paired camera bootstrap ({KIND}) {counted(len(a), effective)}, {100 * confidence:g} %, "
        f"{replicates} replicates, seed {seed}"
    )
    words += f"; under {FEW_CAMERAS} cameras: too narrow" if len(a) < FEW_CAMERAS else ""
    whole = float(exposure.sum())
    difference = _bootstrap(b - a, exposure, draws, levels, words, float((b - a).sum()) / whole)
    if a.sum() == 0:
        ratio = undefined("undefined: the first side has none")
    elif b.sum() == 0:
        ratio = no_events_ratio(float(a.sum()), confidence)
    else:
        ratio = _bootstrap(b, a, draws, levels, words, float(b.sum() / a.sum()))
    p_value, test = sign_flip(b - a, seed=seed, replicates=replicates)
    return Paired(difference, ratio, p_value, test)


def _bootstrap(
    top: Floats, bottom: Floats, draws: Any, levels: Floats, words: str, value: float
) -> Interval:
    if len(top) < 2:
        return Interval(value, None, None, "no interval: one camera")
    low, high = ratio_limits(top[draws].sum(axis=1), bottom[draws].sum(axis=1), levels)
    if low is None and high is None:
        return Interval(value, None, None, ALL_EQUAL)
    if high is None:
        words += "; no upper limit: in some replicates the first side has none"
    high = None if high is None else max(high, value)
    return Interval(value, None if low is None else min(low, value), high, words)


def sign_flip(difference: Floats, *, seed: int, replicates: int) -> tuple[float | None, str]:
    """Two-sided permutation test that cameras' differences are symmetric around zero.

    All sign patterns for up to 16 differing cameras, else random ones (the observed among them).
    """
    moved = difference[difference != 0]
    if not len(moved):
        return None, "no camera differs"
    observed = abs(float(moved.sum()))
    if len(moved) <= MAX_EXACT_CAMERAS:
        patterns = (np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved))) & 1
        sums = np.abs((1 - 2 * patterns) @ moved)
        share = float(np.mean(sums >= observed - 1e-9))
        return share, f"exact sign-flip test over {len(moved)} cameras that differ"
    flips = np.random.default_rng(seed).integers(0, 2, (replicates, len(moved)))
    sums = np.abs((1 - 2 * flips) @ moved)
    share = (1 + int((sums >= observed - 1e-9).sum())) / (1 + replicates)
    words = f"sign-flip test over {len(moved)} cameras that differ, {replicates} draws, seed {seed}"
    return float(share), words


def mcnemar(only_a: int, only_b: int) -> float | None:
    """Exact McNemar p value of `only_a` against `only_b` discordant pairs; None without any.

    Fair only between arms that could each win: at equal detector thresholds the cascade cannot.
    """
    if not only_a + only_b:
        return None
    return float(stats.binomtest(only_a, only_a + only_b).pvalue)
