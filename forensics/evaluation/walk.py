"""The walk over thresholds under a goal, and the pair it picks: from counts by camera alone.

Nothing here knows a run: simulations judge the promise with this very code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from forensics.evaluation.bounds import fixed_sequence, lower_bound, upper_bound
from forensics.evaluation.goals import PER_CAMERA_DAY, PER_MILLION_FRAMES, Goal, Terms
from forensics.evaluation.log import Floats, Ints
from forensics.evaluation.rates import FEW_CAMERAS
from forensics.evaluation.surface import Surfaces
from forensics.types import OperatingPoint


@dataclass(frozen=True, slots=True)
class Step:
    """One pair of the walk, judged on the calibration cameras.

    `bound` is the one-sided limit (None: nothing was exposed), `observed` the plain figure, both
    in the goal's unit; `recall` None without positives; `place` indexes the surface.
    """

    place: tuple[int, int]
    point: OperatingPoint
    bound: float | None
    observed: float | None
    recall: float | None
    false_alerts: int
    false_alarm_frames: int
    accepted: bool

    def to_json(self) -> dict[str, Any]:
        row = asdict(self)
        del row["place"]
        return {**row.pop("point"), **row}


@dataclass(frozen=True, slots=True)
class Picked:
    """All steps of the walk, and the best accepted one (None: nothing may be chosen).

    `promised`: there is a choice, and it carries a guarantee; `n_exposed` calibration cameras bear
    on the goal.
    """

    steps: tuple[Step, ...]
    best: Step | None
    promised: bool
    n_exposed: int


def pick(
    counts: Surfaces,
    cameras: Sequence[int],
    goal: Goal,
    terms: Terms,
    *,
    cascade: bool,
    incidents: bool,
) -> Picked:
    """Walk on the calibration `cameras` (buckets of `counts`) and pick the best accepted pair.

    With a `cascade` there is one path per detector threshold over all classifier thresholds, each
    at risk / paths; else a single path over detector thresholds, classifier off. Recall is of
    `incidents`, or of frames.
    """
    steps = _Walk(counts, list(cameras), goal, terms, incidents).steps(cascade)
    n_exposed = int((_exposed(counts, goal, incidents)[1][list(cameras)] > 0).sum())
    enough = terms.guarantee and n_exposed >= FEW_CAMERAS
    accepted = [step for step in steps if step.accepted]
    best = _best(accepted, goal) if enough or not terms.guarantee else None
    return Picked(tuple(steps), best, enough and best is not None, n_exposed)


class _Walk:
    """Judges pairs of thresholds on the calibration cameras."""

    def __init__(
        self, counts: Surfaces, cameras: list[int], goal: Goal, terms: Terms, incidents: bool
    ) -> None:
        self._counts, self._cameras, self._goal, self._terms = counts, cameras, goal, terms
        self._hits, self._positives = _hits(counts, incidents)
        self._events, self._exposure = _exposed(counts, goal, incidents)

    def steps(self, cascade: bool) -> list[Step]:
        """All pairs that were looked at, path by path."""
        n_detector, n_classifier = len(self._counts.detector), len(self._counts.classifier)
        paths = [[(i, 0) for i in range(n_detector)]]  # loose to strict
        if cascade:
            paths = [[(i, j) for j in range(1, n_classifier + 1)] for i in range(n_detector)]
        steps = []
        for path in paths:
            ordered = path if self._goal.is_recall else path[::-1]
            for i, j in ordered:
                step = self._step(i, j, self._terms.risk / len(paths))
                steps.append(step)
                if self._terms.guarantee and not step.accepted:
                    break
        return steps

    def _step(self, i: int, j: int, risk: float) -> Step:
        counts, cameras = self._counts, self._cameras
        events = self._events[cameras, i, j].astype(np.float64)
        exposure = self._exposure[cameras]
        positives = float(self._positives[cameras].sum())
        whole = float(exposure.sum())
        observed = float(events.sum()) / whole if whole > 0 else None
        bound = (lower_bound if self._goal.is_recall else upper_bound)(events, exposure, risk)
        figure = bound if self._terms.guarantee else observed
        fine = whole > 0 and figure is not None and self._within(figure)
        threshold = float(counts.classifier[j - 1]) if j else None
        return Step(
            place=(i, j),
            point=OperatingPoint(float(counts.detector[i]), threshold),
            bound=bound if whole > 0 else None,
            observed=observed,
            recall=float(self._hits[cameras, i, j].sum()) / positives if positives else None,
            false_alerts=int(counts.counts["false_alerts"][cameras, i, j].sum()),
            false_alarm_frames=int(counts.counts["frame_fp"][cameras, i, j].sum()),
            accepted=fine,
        )

    def _within(self, figure: float) -> bool:
        if self._goal.is_recall:
            return fixed_sequence([-figure], -self._goal.value) is not None
        return fixed_sequence([figure], self._goal.value) is not None


def _hits(counts: Surfaces, incidents: bool) -> tuple[Ints, Floats]:
    if incidents:
        return counts.counts["detected"], counts.totals["n_incidents"]
    return counts.counts["frame_tp"], counts.totals["n_positive"]


def _exposed(counts: Surfaces, goal: Goal, incidents: bool) -> tuple[Ints, Floats]:
    """What the goal counts (cameras, nd, nc + 1), and exposure (cameras,), in the goal's unit."""
    if goal.unit == PER_CAMERA_DAY:
        return counts.counts["false_alerts"], counts.totals["hours_negative"] / 24
    if goal.unit == PER_MILLION_FRAMES:
        return counts.counts["frame_fp"], counts.totals["n_negative"] / 1e6
    return _hits(counts, incidents)


def _best(accepted: Sequence[Step], goal: Goal) -> Step | None:
    """For false alarms the best recall, for recall the fewest false alarms; then the other.

    Of equals the lowest thresholds: what a few targets cannot tell apart should not cost recall.
    Without positives recalls cannot be compared: then the lowest detector threshold with the
    lowest accepted classifier threshold, which leaves the most to the classifier.
    """
    if not accepted:
        return None
    if accepted[0].recall is None:
        return min(accepted, key=lambda step: step.place)

    def worth(step: Step) -> tuple[float, ...]:
        recall, quiet = step.recall or 0.0, (-step.false_alerts, -step.false_alarm_frames)
        first = (*quiet, recall) if goal.is_recall else (recall, *quiet)
        return (*first, -step.place[0], -step.place[1])

    return max(accepted, key=worth)
