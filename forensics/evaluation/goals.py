"""What is asked of thresholds, on which terms, and the cameras that they are chosen on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forensics.errors import ForensicsError
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.result import per_camera

PER_MILLION_FRAMES, PER_CAMERA_DAY = "per million frames", "per camera-day"
UNITS = (PER_MILLION_FRAMES, PER_CAMERA_DAY)
RECALL = "recall"
DEFAULT_SEED = 20240229
_COUNTED = {PER_MILLION_FRAMES: "false alarm frames", PER_CAMERA_DAY: "false alerts"}


@dataclass(frozen=True, slots=True)
class Goal:
    """At most `value` false alarms in `unit`, or, with unit `recall`, at least that recall.

    Per camera-day counts false alerts (alarm frames merged by the event rule) in time without a
    target; per million frames counts alarm frames among the negative frames.
    """

    value: float
    unit: str = PER_CAMERA_DAY

    def __post_init__(self) -> None:
        if self.unit not in (*UNITS, RECALL):
            known = ", ".join((*UNITS, RECALL))
            raise ForensicsError(f"unknown unit {self.unit!r}; choose one of {known}")
        if not 0 < self.value < float("inf"):
            raise ForensicsError("the limit must be above 0; correct it")
        if self.is_recall and self.value >= 1:
            raise ForensicsError("a recall that can be promised lies below 1; correct it")

    @property
    def is_recall(self) -> bool:
        return self.unit == RECALL

    @property
    def words(self) -> str:
        if self.is_recall:
            return f"recall of at least {self.value:g}"
        return f"at most {self.value:g} {_COUNTED[self.unit]} {self.unit}"


@dataclass(frozen=True, slots=True)
class Terms:
    """How sure, and on which cameras.

    `risk` is the chance that the promise is wrong; the calibration cameras are those named, or a
    `share` of all drawn by `seed`. Without `guarantee` the observed figures decide, and nothing is
    promised: about half of all such choices break their limit.
    """

    risk: float = 0.05
    share: float = 0.5
    seed: int = DEFAULT_SEED
    calibration: tuple[str, ...] = ()
    guarantee: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.risk < 1 or not 0 < self.share < 1:
            raise ForensicsError("the risk and the share lie between 0 and 1; correct them")


def split_cameras(
    names: Sequence[str], share: float, seed: int, strata: Sequence[bool] | None = None
) -> tuple[list[int], list[int]]:
    """Calibration and test camera numbers; every camera is on one side, whole.

    With `strata`, each kind of camera is divided by the share, so that the few cameras that saw a
    target do not all land on one side. The draw depends on names, share and seed alone.
    """
    by_name = sorted(range(len(names)), key=lambda number: names[number])
    generator = np.random.default_rng(seed)
    kinds = [False] * len(names) if strata is None else strata
    left: list[int] = []
    for kind in sorted(set(kinds)):
        group = [number for number in by_name if kinds[number] == kind]
        order = generator.permutation(len(group))
        left += [group[place] for place in order[: round(share * len(group))].tolist()]
    if not left:
        left = by_name[:1]
    left = left[: len(names) - 1]
    return sorted(left), sorted(set(range(len(names))) - set(left))


def calibration_split(prepared: Prepared, terms: Terms) -> tuple[list[int], list[int]]:
    """Numbers of the calibration and the test cameras among those with evaluated frames."""
    names, ledger = prepared.log.camera_names, prepared.ledger
    judged = np.flatnonzero(per_camera(prepared, ledger.evaluated)).tolist()
    if len(judged) < 2:
        raise ForensicsError(
            "choosing needs two cameras with truth or more: one to choose on, one to test on"
        )
    if terms.calibration:
        return _named(names, judged, terms.calibration)
    positive = per_camera(prepared, ledger.positive) > 0
    left, right = split_cameras(
        [names[number] for number in judged],
        terms.share,
        terms.seed,
        [bool(positive[number]) for number in judged],
    )
    return [judged[place] for place in left], [judged[place] for place in right]


def _named(
    names: Sequence[str], judged: list[int], wanted: Sequence[str]
) -> tuple[list[int], list[int]]:
    known = {names[number]: number for number in judged}
    for name in wanted:
        if name not in known:
            shown = ", ".join(sorted(known)[:8]) + (", ..." if len(known) > 8 else "")
            raise ForensicsError(f"no camera {name!r} with truth in the run; there are {shown}")
    left = sorted({known[name] for name in wanted})
    right = sorted(set(judged) - set(left))
    if not right:
        raise ForensicsError("all cameras are for calibration; leave some out to test on")
    return left, right
