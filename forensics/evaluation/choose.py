"""Choose thresholds that keep a promise: Learn-then-Test with a fixed sequence.

Cameras are split; on the calibration cameras, thresholds are walked from strict to loose and the
walk stops at the first whose upper bound breaks the limit; the choice is scored once on the other
cameras. Counts are not monotone in the thresholds (alerts can split), so that taking the best
threshold with an observed rate under the limit breaks the promise in about half of all cases.
Source: Angelopoulos et al., Learn then Test, 2021 (fixed-sequence testing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from forensics.errors import ForensicsError
from forensics.evaluation.log import Floats
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import garwood_upper, proportion_interval, rate_interval
from forensics.evaluation.surface import Surfaces, surfaces
from forensics.types import OperatingPoint

PER_MILLION_FRAMES, PER_CAMERA_DAY = "per million frames", "per camera-day"
UNITS = (PER_MILLION_FRAMES, PER_CAMERA_DAY)


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen operating point (None: no threshold can be promised), and its scope.

    `calibration` and `test` hold camera names; `bound` the certified upper bound and `limit` the
    promise, both in `unit`; `recall` and `false_alarms` are scored once on the test cameras.
    """

    operating_point: OperatingPoint | None
    limit: float
    unit: str
    risk: float
    bound: float | None
    calibration: tuple[str, ...]
    test: tuple[str, ...]
    recall: dict[str, Any] | None
    false_alarms: dict[str, Any] | None
    path: tuple[dict[str, Any], ...]
    scope: str


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
    spread = float(((events - rate * exposure) ** 2).sum())
    se = np.sqrt(n / (n - 1) * spread) / total
    between = rate * np.exp(min(stats.t.ppf(1 - risk, n - 1) * se, 700.0))
    return max(pooled, float(between))


def fixed_sequence(bounds: Sequence[float], limit: float) -> int | None:
    """Index of the last bound, strict to loose, before the first that breaks the limit."""
    chosen = None
    for number, bound in enumerate(bounds):
        if not bound <= limit:
            break
        chosen = number
    return chosen


def split_cameras(names: Sequence[str], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Calibration and test camera numbers; every camera is on one side, whole."""
    order = np.random.default_rng(seed).permutation(len(names))
    count = min(max(1, round(share * len(names))), len(names) - 1)
    return sorted(order[:count].tolist()), sorted(order[count:].tolist())


def choose_thresholds(  # noqa: PLR0913 - the promise and its terms
    prepared: Prepared,
    limit: float,
    unit: str = PER_CAMERA_DAY,
    *,
    risk: float = 0.05,
    detector: Sequence[float] | None = None,
    classifier: Sequence[float] | None = None,
    calibration_share: float = 0.5,
    seed: int = 20240229,
) -> Choice:
    """Choose the pair of thresholds of best recall whose false alarms are promised under `limit`.

    One path per detector threshold, over falling classifier thresholds, each at `risk` / paths.
    """
    if unit not in UNITS:
        raise ForensicsError(f"unknown unit {unit!r}; choose one of {', '.join(UNITS)}")
    if not limit > 0 or not 0 < risk < 1:
        raise ForensicsError("the limit must be above 0 and the risk between 0 and 1")
    names = prepared.log.camera_names
    if len(names) < 2:
        raise ForensicsError("choosing needs two cameras or more: one to choose on, one to test on")
    thresholds = prepared.run.manifest["thresholds"]
    lowest = max(thresholds["floor"], thresholds.get("gate") or 0.0)
    on_detector = np.linspace(lowest, 0.95, 5).tolist() if detector is None else detector
    on_classifier = np.linspace(0, 0.99, 100).tolist() if classifier is None else classifier
    counts = surfaces(
        prepared, on_detector, on_classifier, events=unit == PER_CAMERA_DAY, by_camera=True
    )
    calibration, test = split_cameras(names, calibration_share, seed)
    path = _walk(counts, calibration, limit, unit, risk)
    passed = [step for step in path if step["accepted"]]
    best = max(passed, key=lambda step: (step["recall"], step["detector"]), default=None)
    i, j = (best["i"], best["j"]) if best else (0, 0)
    return Choice(
        operating_point=OperatingPoint(best["detector"], best["classifier"]) if best else None,
        limit=limit,
        unit=unit,
        risk=risk,
        bound=best["bound"] if best else None,
        calibration=tuple(names[number] for number in calibration),
        test=tuple(names[number] for number in test),
        recall=_recall(prepared, counts, test, i, j) if best else None,
        false_alarms=_false_alarms(counts, test, i, j, unit) if best else None,
        path=tuple(path),
        scope=_scope(limit, unit, risk, len(calibration), len(test), best is not None),
    )


def _exposed(counts: Surfaces, unit: str) -> tuple[Any, Floats]:
    """False alarms (cameras, nd, nc + 1) and exposure (cameras,) in the unit."""
    if unit == PER_CAMERA_DAY:
        return counts.counts["false_alerts"], counts.totals["hours_negative"] / 24
    return counts.counts["frame_fp"], counts.totals["n_negative"] / 1e6


def _walk(
    counts: Surfaces, cameras: list[int], limit: float, unit: str, risk: float
) -> list[dict[str, Any]]:
    events, exposure = _exposed(counts, unit)
    hit, total = _hits(counts)
    steps = []
    for i, at_detector in enumerate(counts.detector.tolist()):
        for j in range(len(counts.classifier), 0, -1):
            if not counts.valid[i, j]:
                break
            bound = upper_bound(
                events[cameras, i, j].astype(np.float64),
                exposure[cameras],
                risk / len(counts.detector),
            )
            whole = float(total[cameras].sum())
            step = {
                "i": i,
                "j": j,
                "detector": at_detector,
                "classifier": float(counts.classifier[j - 1]),
                "bound": bound,
                "recall": float(hit[cameras, i, j].sum()) / whole if whole else 0.0,
                "accepted": fixed_sequence([bound], limit) is not None,
            }
            steps.append(step)
            if not step["accepted"]:
                break
    return steps


def _hits(counts: Surfaces) -> tuple[Any, Floats]:
    if "detected" in counts.counts and counts.totals["n_incidents"].sum():
        return counts.counts["detected"], counts.totals["n_incidents"]
    return counts.counts["frame_tp"], counts.totals["n_positive"]


def _recall(
    prepared: Prepared, counts: Surfaces, test: list[int], i: int, j: int
) -> dict[str, Any]:
    hit, total = _hits(counts)
    rules = prepared.rules
    return proportion_interval(
        hit[test, i, j].astype(np.float64),
        total[test],
        rules.confidence,
        rules.replicates,
        rules.seed,
    ).to_json()


def _false_alarms(counts: Surfaces, test: list[int], i: int, j: int, unit: str) -> dict[str, Any]:
    events, exposure = _exposed(counts, unit)
    return rate_interval(events[test, i, j].astype(np.float64), exposure[test]).to_json()


def _scope(limit: float, unit: str, risk: float, n: int, rest: int, found: bool) -> str:
    if not found:
        return (
            f"no threshold can be promised to stay under {limit:g} {unit} from {n} cameras: label "
            "more gun-free footage of more cameras, or raise the limit"
        )
    return (
        f"chosen on {n} cameras, scored once on {rest} others: false alarms stay under {limit:g} "
        f"{unit}, wrong in about {100 * risk:g} % of such choices. Approximate; holds for cameras "
        "like these (exchangeable), not for new kinds of camera, firmware, place or season"
    )
