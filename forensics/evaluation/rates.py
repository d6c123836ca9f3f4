"""Intervals for rates and proportions; each says in words how it was made.

Rates are events per unit of exposure. Frames of one camera are not independent, so whatever
varies between cameras is judged between cameras. Sources: Garwood 1936 (exact Poisson); Wilson
1927; Clopper and Pearson 1934; Hanley and Lippman-Hand 1983 (rule of three); the camera log-t is
the ratio estimator's linearised variance on the log scale; the bootstrap's levels: `resampled`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

from forensics.evaluation.resampled import (
    KIND,
    Floats,
    counted,
    effective_cameras,
    expanded_levels,
)

FEW_CAMERAS = 8
SAYS_NOTHING = 100  # times the rate; two cameras that differ give thousands
ALL_EQUAL = (
    "no interval: all replicates of the cameras are equal, which tells nothing of how far off it is"
)


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None
    method: str

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high, "method": self.method}

    def scaled(self, factor: float) -> Interval:
        """The same interval in another unit."""
        parts = [None if v is None else v * factor for v in (self.value, self.low, self.high)]
        return Interval(parts[0], parts[1], parts[2], self.method)

    def at_most(self, bound: float, why: str = "") -> Interval:
        """The same figure where more than `bound` cannot be: a frame is false at most once."""
        if self.high is None or self.high <= bound:
            return self
        words = f"{self.method}; cut at {bound:,.0f}{f', {why}' if why else ''}"
        return Interval(self.value, self.low, bound, words)


def undefined(reason: str) -> Interval:
    return Interval(None, None, None, reason)


def garwood(events: float, exposure: float, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided Poisson limits of a rate: gamma quantiles over the exposure."""
    tail = (1 - confidence) / 2
    low = special.gammaincinv(events, tail) / exposure if events else 0.0
    return float(low), garwood_upper(events, exposure, 1 - tail)


def garwood_upper(events: float, exposure: float, confidence: float = 0.95) -> float:
    """Exact one-sided upper Poisson limit; with no events 2.996 / exposure at 95 %."""
    return float(special.gammaincinv(events + 1, confidence) / exposure)


def wilson(hits: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score limits of a proportion."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share = hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + (z / total) ** 2 / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def clopper_pearson(hits: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided binomial limits of a proportion."""
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, hits, total - hits + 1) if hits else 0.0
    high = stats.beta.ppf(1 - tail, hits + 1, total - hits) if hits < total else 1.0
    return float(low), float(high)


def no_events_ratio(others: float, confidence: float = 0.95) -> Interval:
    """Of 0 events on one side to `others` on the other, equally exposed: an upper limit.

    Exact and conditional: of all events, the share on the one side is binomial with the odds of
    the ratio (Przyborowski and Wilenski 1940). With no events, one-sided.
    """
    share = 1 - (1 - confidence) ** (1 / others)
    high = share / (1 - share)
    return Interval(
        0.0,
        0.0,
        high,
        f"no events on one side: one-sided exact conditional binomial limit, {100 * confidence:g} "
        "%, cameras pooled; frames of one camera are not independent: too narrow",
    )


def camera_log_t(events: Floats, exposure: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Limits R exp(+-t se) of the ratio R = sum(events) / sum(exposure) over n cameras.

    se = sqrt(n / (n - 1) sum((events_c - R exposure_c)^2)) / sum(events), t with n - 1 degrees.
    """
    n, total = len(events), float(events.sum())
    rate = total / float(exposure.sum())
    se = math.sqrt(n / (n - 1) * float(((events - rate * exposure) ** 2).sum())) / total
    reach = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * se
    return rate * math.exp(-reach), rate * math.exp(min(reach, 700.0))


def camera_bound(cameras: int, confidence: float = 0.95) -> float:
    """Upper bound on the share of cameras with any event, when none of `cameras` had one."""
    return float(1 - (1 - confidence) ** (1 / cameras))


def rate_interval(events: Floats, exposure: Floats, confidence: float = 0.95) -> Interval:
    """A rate over cameras: `events`, `exposure` float64 (cameras,); cameras unexposed are left out.

    Between cameras where there are two or more; no narrower than the pooled exact interval, which
    is right only if cameras do not differ. Without events, the one-sided upper limit.

    With two cameras t is 12.7, and on the log scale it stands in an exponent: limits of thousands
    of times the rate. That is no fault to be mended by a narrower method: no method for clusters
    is to be trusted with so few (Cameron, Gelbach and Miller 2008, Review of Economics and
    Statistics 90:414-427), so that the words say so; see also `at_most`.
    """
    used = exposure > 0
    events, exposure = events[used], exposure[used]
    n, total, whole = len(events), float(events.sum()), float(exposure.sum())
    percent = f"{100 * confidence:g} %"
    if not n:
        return undefined("undefined: nothing was exposed")
    if total == 0:
        high = garwood_upper(0, whole, confidence)
        return Interval(
            0.0,
            0.0,
            high,
            f"no events: one-sided {percent} Poisson upper limit (rule of three), cameras pooled; "
            f"at most {100 * camera_bound(n, confidence):.3g} % of such cameras have any "
            f"({n} camera{'s' if n > 1 else ''} seen)",
        )
    low, high = garwood(total, whole, confidence)
    rate = total / whole
    if n < 2:
        return Interval(
            rate,
            low,
            high,
            f"pooled exact Poisson (Garwood), {percent}; one camera: frames of one camera are "
            "not independent; too narrow",
        )
    between = camera_log_t(events, exposure, confidence)
    method = f"camera log-t over {n} cameras, {percent}, approximate"
    if between[0] > low or between[1] < high:
        method += "; widened to the pooled exact Poisson limits (Garwood)"
    if n < FEW_CAMERAS:
        method += f"; under {FEW_CAMERAS} cameras: see the table by camera"
    if max(high, between[1]) > SAYS_NOTHING * rate:
        method += "; the upper limit says next to nothing: so few cameras that differ so much "
        method += "bound no rate"
    return Interval(rate, min(low, between[0]), max(high, between[1]), method)


def rate_limits(
    events: Floats, exposure: Floats, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Limits of `rate_interval` at many points at once: float64 (points,) each, NaN undefined.

    `events` float64 (cameras, points), `exposure` float64 (cameras,). Points of the same counts
    are judged once.
    """
    distinct, place = np.unique(events, axis=1, return_inverse=True)
    found = [rate_interval(column, exposure, confidence) for column in distinct.T]
    limits = np.array([(each.low, each.high) for each in found], np.float64)  # None becomes NaN
    return limits[place, 0], limits[place, 1]


def proportion_interval(
    hits: Floats, totals: Floats, confidence: float, replicates: int, seed: int
) -> Interval:
    """A proportion or other ratio over cameras: `hits`, `totals` float64 (cameras,).

    Clopper-Pearson when none or all hit; a camera bootstrap when trials share two or more
    cameras; else Wilson.
    """
    used = totals > 0
    hits, totals = hits[used], totals[used]
    n, hit, whole = len(hits), float(hits.sum()), float(totals.sum())
    percent = f"{100 * confidence:g} %"
    if not n:
        return undefined("undefined: nothing to count")
    value = hit / whole
    shared = bool(np.any(totals > 1))
    narrow = "; trials of one camera are not independent: too narrow" if shared else ""
    if hit in (0, whole):
        low, high = clopper_pearson(hit, whole, confidence)
        return Interval(value, low, high, f"Clopper-Pearson, {percent}, pooled{narrow}")
    if n < 2 or not shared:
        low, high = wilson(hit, whole, confidence)
        return Interval(value, low, high, f"Wilson, {percent}, pooled{narrow}")
    return camera_bootstrap(hits, totals, confidence, replicates, seed)


def camera_bootstrap(
    hits: Floats, totals: Floats, confidence: float, replicates: int, seed: int
) -> Interval:
    """Expanded percentile bootstrap of sum(hits) / sum(totals), resampling cameras.

    Replicates in which nothing was exposed are left out. A proportion's limits are no narrower
    than the pooled ones (Wilson), as cameras that happen to agree say little.
    """
    n, value = len(hits), float(hits.sum() / totals.sum())
    draws = np.random.default_rng(seed).integers(0, n, (replicates, n))
    over, under = hits[draws].sum(axis=1), totals[draws].sum(axis=1)
    effective = float(effective_cameras(totals))
    levels = expanded_levels(confidence, effective)
    low, high = np.quantile(over[under > 0] / under[under > 0], levels)
    few = f"; under {FEW_CAMERAS} cameras: too narrow" if n < FEW_CAMERAS else ""
    if (hits <= totals).all():
        pooled = wilson(float(hits.sum()), float(totals.sum()), confidence)
        if pooled[0] < low or pooled[1] > high:
            few = f"; widened to the pooled Wilson limits{few}"
        low, high = min(low, pooled[0]), max(high, pooled[1])
    return Interval(
        value,
        float(min(low, value)),
        float(max(high, value)),
        f"camera bootstrap ({KIND}) {counted(n, effective)}, {100 * confidence:g} %, "
        f"{replicates} replicates, seed {seed}{few}",
    )
