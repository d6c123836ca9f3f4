"""Thresholds to count at: numbers that can be typed, spread over the scale and over the scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forensics.evaluation.log import Scores

STEPS = 60


def typed(threshold: float | None) -> str:
    """A threshold in the fewest digits that read back as the same float32; `off` where None.

    Scores are float32 and often tie with a threshold, so that fewer digits may count others.
    """
    if threshold is None:
        return "off"
    return np.format_float_positional(np.float32(threshold), trim="-")


def typed_thresholds(
    scores: Scores, low: float, keep: Sequence[float] = (), steps: int = STEPS
) -> tuple[str, ...]:
    """About `steps` thresholds from `low` to 1 as decimals, ascending, each another float32.

    Half are even steps of at least 0.01, half lie where the scores are, to three decimals; `low`
    and `keep` are among them, in the fewest digits that give the same float32. A threshold that
    is typed as written here is the very number that was counted at.
    """
    half = max(2, steps // 2)
    even = np.round(np.linspace(low, 1, half), 2)
    found = scores[scores >= np.float32(low)]
    if not len(found):
        found = np.array([low], np.float32)
    dense = np.round(np.quantile(found, np.linspace(0, 1, half)), 3)
    wanted = np.unique(np.array([low, *keep, *even, *dense], np.float32))
    wanted = wanted[(wanted >= np.float32(low)) & (wanted <= 1)]
    return tuple(map(typed, wanted))
