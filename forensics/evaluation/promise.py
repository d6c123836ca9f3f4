"""What a choice of thresholds promises, and what not, in plain words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forensics.evaluation.bounds import LOWER_METHOD, UPPER_METHOD
from forensics.evaluation.goals import Goal, Terms
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import FEW_CAMERAS
from forensics.types import OperatingPoint

SHOWN_HASH = 16


@dataclass(frozen=True, slots=True)
class Found:
    """What the walk came to; `n_exposed` calibration cameras bear on the goal, `nearest` is the
    best limit of the first pairs of all paths, None where no camera bears on it."""

    n_calibration: int
    n_test: int
    n_exposed: int
    nearest: float | None
    has_recall: bool
    point: OperatingPoint | None
    recall_of: str


def bound_method(goal: Goal) -> str:
    """How the limit of each step is made."""
    return LOWER_METHOD if goal.is_recall else UPPER_METHOD


def scope(goal: Goal, terms: Terms, found: Found) -> tuple[str, ...]:
    """Sentences on what was found, the weightiest first."""
    if not terms.guarantee:
        return (*_empirical(goal, found), *_no_recall(goal, found))
    if found.n_exposed < FEW_CAMERAS:
        return (_too_few(goal, found),)
    if found.point is None:
        return (_none_keeps_it(goal, terms, found),)
    return (
        f"chosen on {found.n_calibration} cameras, scored once on {found.n_test} others: "
        f"{goal.words}, wrong in about {100 * terms.risk:g} % of such choices",
        f"the limit of each step is {bound_method(goal)}",
        "approximate: it assumes that the cameras to come are like the calibration cameras "
        "(exchangeable), and is weakest where a few cameras differ much from the rest",
        "it ends with new cameras, another firmware, place or season, and with any other network: "
        "choose again then",
        *_no_recall(goal, found),
    )


def _empirical(goal: Goal, found: Found) -> tuple[str, ...]:
    if found.point is None:
        return (f"no thresholds of the grid show a {_asked(goal)} on the calibration cameras",)
    return (
        "no guarantee: these thresholds keep to the limit on the calibration cameras as observed; "
        "about half of all choices made so break it on other cameras",
    )


def _too_few(goal: Goal, found: Found) -> str:
    need = "have a labelled target" if goal.is_recall else "have footage without a target"
    return (
        f"nothing can be promised from {found.n_exposed} calibration cameras that {need} "
        f"({FEW_CAMERAS} needed): label more cameras, or add --no-guarantee for what was observed"
    )


def _none_keeps_it(goal: Goal, terms: Terms, found: Found) -> str:
    more = "more incidents" if goal.is_recall else "more gun-free footage"
    easier = "lower" if goal.is_recall else "raise"
    side = "lower" if goal.is_recall else "upper"
    best = "highest" if goal.is_recall else "lowest"
    limit = "n/a" if found.nearest is None else f"{found.nearest:.4g}"
    return (
        f"no threshold can be promised to keep {goal.words} at risk {terms.risk:g} from "
        f"{found.n_calibration} cameras (the {best} {side} limit of a first step is {limit}): "
        f"label {more} of more cameras, or {easier} the limit"
    )


def _no_recall(goal: Goal, found: Found) -> tuple[str, ...]:
    if goal.is_recall or found.has_recall or found.point is None:
        return ()
    return (
        "the calibration cameras have no labelled target: recalls could not be compared, and the "
        "pair that leaves the most to the classifier was taken",
    )


def _asked(goal: Goal) -> str:
    return goal.words if goal.is_recall else f"rate of {goal.words}"


def provenance(
    prepared: Prepared, goal: Goal, terms: Terms, found: Found, calibration: Sequence[int]
) -> str:
    """One line for `cascade.toml`: rule, risk and data; no date, so that it can be made again."""
    if found.point is None:
        return "nothing chosen"
    sure = (
        f"promised at risk {terms.risk:g}, approximate, for cameras like these"
        if terms.guarantee
        else "as observed, no guarantee"
    )
    best = "fewest false alarms" if goal.is_recall else f"best recall of {found.recall_of}"
    method = "Learn-then-Test" if terms.guarantee else "observed"
    how = "named" if terms.calibration else f"share {terms.share:g}, seed {terms.seed}"
    log = prepared.log
    chosen_on = np.isin(log.camera, list(calibration))
    names = sorted(m for m, used in zip(log.media_id, chosen_on.tolist(), strict=True) if used)
    footage = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return (
        f"{goal.words} ({sure}), then {best}; {method} on {found.n_calibration} calibration "
        f"cameras ({how}), scored once on {found.n_test} others; calibration footage: SHA-256 over "
        f"its sorted media hashes {footage[:SHOWN_HASH]}; run settings "
        f"{prepared.run.manifest.get('id', 'unknown')}"
    )
