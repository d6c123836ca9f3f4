"""Which detections get a picture when there are too many: a rule with a seed, printed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def choose(
    table: pd.DataFrame, *, score: str, groups: Sequence[str], limit: int, seed: int
) -> pd.DataFrame:
    """Rows of `table` to show, in its order: all when they fit.

    Else half the places go to the best scores of each group in turn (the best of every group,
    then the second of every group, and so on), the other half to a random sample of the rest.
    """
    if len(table) <= limit:
        return table
    if limit <= 0:
        return table.iloc[:0]
    half = (limit + 1) // 2
    place = pd.Series(np.arange(len(table)), index=table.index)
    ranked = table.assign(_place=place).sort_values(
        [score, "_place"], ascending=[False, True], kind="stable"
    )
    turn = ranked.groupby(list(groups), observed=True, dropna=False, sort=False).cumcount()
    best = ranked.assign(_turn=turn).sort_values("_turn", kind="stable")["_place"].to_numpy()
    rest = np.sort(best[half:])
    sample = np.random.default_rng(seed).choice(rest, limit - half, replace=False)
    return table.iloc[np.sort(np.concatenate([best[:half], sample]))]


def rule(total: int, limit: int, seed: int, *, score: str, groups: str) -> str:
    """The rule in words."""
    if total <= limit:
        return "All are shown."
    if limit <= 0:
        return "No pictures were asked for."
    half = (limit + 1) // 2
    return (
        f"{limit:,} of {total:,} are shown: {half:,} by highest {score}, taking {groups} in turn, "
        f"and {limit - half:,} drawn at random from the rest (seed {seed})."
    )
