"""One-sided limits over cameras, and the walk that turns them into a promise.

Frames and incidents of one camera are not independent, so that exact pooled limits are right only
if cameras are alike: each limit here is the more cautious of the pooled one and one between
cameras. Sources: Garwood 1936; Clopper and Pearson 1934; Angelopoulos et al., Learn then Test,
2021 (fixed-sequence testing).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from forensics.evaluation.log import Floats
from forensics.evaluation.rates import garwood_upper

UPPER_METHOD = (
    "the greater of the exact pooled Poisson upper limit (Garwood) and the one-sided camera log-t "
    "limit"
)
LOWER_METHOD = (
    "the lesser of the exact pooled binomial lower limit (Clopper-Pearson) and the one-sided "
    "camera logit-t limit; where nothing was missed, the latter takes one as missed; the pooled "
    "one alone where no camera has more than one"
)


def upper_bound(events: Floats, exposure: Floats, risk: float) -> float:
    """Upper limit of a rate over cameras, broken with a chance of about `risk`.

    The greater of the exact pooled Poisson limit (right when cameras are alike) and the one-sided
    camera log-t limit (approximately right when they differ). `events`, `exposure` (cameras,).
    """
    used = exposure > 0
    events, exposure = events[used], exposure[used]
    total, whole, n = float(events.sum()), float(exposure.sum()), len(events)
    if not n:
        return float("inf")
    pooled = garwood_upper(total, whole, 1 - risk)
    if n < 2 or not total:
        return pooled
    rate = total / whole
    reach = special.stdtrit(n - 1, 1 - risk) * _spread(events, exposure, rate) / total
    return max(pooled, float(rate * np.exp(min(reach, 700.0))))


def lower_bound(hits: Floats, totals: Floats, risk: float) -> float:
    """Lower limit of a proportion over cameras, broken with a chance of about `risk`.

    The lesser of the exact pooled Clopper-Pearson limit and the camera t limit on the logit scale,
    logit(R) - t se / (R (1 - R)) with se that of the ratio R = sum(hits) / sum(totals). Where all
    are hit the spread between cameras cannot be seen: one miss is assumed. Cameras with a single
    trial each are independent trials, for which the pooled limit is exact. `hits`, `totals`
    (cameras,).
    """
    used = totals > 0
    hits, totals = hits[used], totals[used]
    hit, whole, n = float(hits.sum()), float(totals.sum()), len(hits)
    if not hit:
        return 0.0
    pooled = float(special.betaincinv(hit, whole - hit + 1, risk))
    if not np.any(totals > 1):
        return pooled
    if hit == whole:
        hits = hits.copy()
        hits[int(np.argmax(totals))] -= 1
    share = float(hits.sum()) / whole
    if n < 2 or not 0 < share < 1:
        return pooled
    se = _spread(hits, totals, share) / whole
    reach = float(special.stdtrit(n - 1, 1 - risk)) * se / (share * (1 - share))
    between = 1 / (1 + np.exp(min(reach - np.log(share / (1 - share)), 700.0)))
    return min(pooled, float(between))


def _spread(events: Floats, exposure: Floats, rate: float) -> float:
    """sqrt(n / (n - 1) sum((events_c - rate exposure_c)^2)) over n cameras."""
    n = len(events)
    return float(np.sqrt(n / (n - 1) * ((events - rate * exposure) ** 2).sum()))


def fixed_sequence(bounds: Sequence[float], limit: float) -> int | None:
    """Index of the last bound, strict to loose, before the first that breaks the limit."""
    chosen = None
    for number, bound in enumerate(bounds):
        if not bound <= limit:
            break
        chosen = number
    return chosen
