"""Choose thresholds that keep a promise: Learn-then-Test with a fixed sequence.

Cameras are split; on the calibration cameras, thresholds are walked from those that surely keep
the promise towards those that may not (strict to loose for false alarms, loose to strict for
recall), and the walk stops at the first whose limit breaks it; the choice is scored once on the
other cameras. Counts are not monotone in the thresholds (alerts can split), so that taking the
best threshold with an observed rate under the limit breaks the promise in about half of all cases.
Source: Angelopoulos et al., Learn then Test, 2021 (fixed-sequence testing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from forensics.evaluation import promise
from forensics.evaluation.bounds import fixed_sequence, lower_bound, upper_bound
from forensics.evaluation.goals import (
    PER_CAMERA_DAY,
    PER_MILLION_FRAMES,
    RECALL,
    UNITS,
    Goal,
    Terms,
    calibration_split,
    split_cameras,
)
from forensics.evaluation.levels import CASCADE, count_arm
from forensics.evaluation.log import Floats, Ints
from forensics.evaluation.notes import scope_notes
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import FEW_CAMERAS
from forensics.evaluation.scored import INCIDENTS, recall_level, scored_on
from forensics.evaluation.surface import Surfaces, surfaces
from forensics.types import OperatingPoint

__all__ = [
    "PER_CAMERA_DAY",
    "PER_MILLION_FRAMES",
    "RECALL",
    "UNITS",
    "Choice",
    "Goal",
    "Terms",
    "choose_thresholds",
    "fixed_sequence",
    "lower_bound",
    "split_cameras",
    "upper_bound",
]
SCHEMA = 1
PATHS, STEPS = 5, 100
UNPROMISED_PATHS = 20  # more paths cost a promise its risk; where none is given, they are free


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
class Choice:
    """The chosen operating point (None: none keeps the promise), and its scope.

    `promised` is True only where the limit carries a guarantee; `bound` is the certified limit in
    the goal's unit; `calibration` and `test` hold camera names; `on_calibration`, `on_test` and
    `scanned_on_test` (the run's own thresholds) are figures as in `scored_on`; `scope` says in
    plain words what the promise is worth, `notes` what the truth and footage cannot say, and
    `provenance` sums it up for `cascade.toml`.
    """

    goal: Goal
    terms: Terms
    promised: bool
    operating_point: OperatingPoint | None
    bound: float | None
    recall_of: str
    calibration: tuple[str, ...]
    test: tuple[str, ...]
    on_calibration: dict[str, Any] | None
    on_test: dict[str, Any] | None
    scanned_on_test: dict[str, Any]
    path: tuple[Step, ...]
    scope: tuple[str, ...]
    notes: tuple[str, ...]
    provenance: str

    def to_json(self) -> dict[str, Any]:
        """Plain values; undefined is null."""
        figures = asdict(self)
        figures["path"] = [step.to_json() for step in self.path]
        figures["scope"], figures["notes"] = list(self.scope), list(self.notes)
        figures["calibration"], figures["test"] = list(self.calibration), list(self.test)
        figures["goal"]["words"] = self.goal.words
        figures["terms"]["calibration"] = list(self.terms.calibration)
        return {"schema": SCHEMA, **figures, "bound_method": promise.bound_method(self.goal)}


def choose_thresholds(
    prepared: Prepared,
    goal: Goal,
    terms: Terms | None = None,
    *,
    detector: Sequence[float] | None = None,
    classifier: Sequence[float] | None = None,
) -> Choice:
    """Choose thresholds under a promise: of best recall, or, for recall, of fewest false alarms.

    With a classifier there is one path per detector threshold over all classifier thresholds, each
    at risk / paths; a run of the detector alone has a single path over detector thresholds.
    """
    terms = terms or Terms()
    calibration, test = calibration_split(prepared, terms)
    cascade = prepared.run.manifest["thresholds"].get("classifier") is not None
    paths = PATHS if terms.guarantee else UNPROMISED_PATHS
    on_detector, on_classifier = _grids(prepared, paths * cascade, detector, classifier)
    counts = surfaces(prepared, on_detector, on_classifier, by_camera=True)
    steps = _Walk(prepared, counts, calibration, goal, terms).steps(cascade)
    enough = _exposed_cameras(counts, calibration, goal) >= FEW_CAMERAS
    promised = terms.guarantee and enough
    accepted = [step for step in steps if step.accepted]
    best = _best(accepted, goal) if promised or not terms.guarantee else None
    point = best.point if best else None
    names = prepared.log.camera_names
    found = promise.Found(
        n_calibration=len(calibration),
        n_test=len(test),
        n_exposed=_exposed_cameras(counts, calibration, goal),
        strictest=steps[0].bound,
        has_recall=steps[0].recall is not None,
        point=point,
        recall_of=recall_level(prepared),
    )
    return Choice(
        goal=goal,
        terms=terms,
        promised=promised and best is not None,
        operating_point=point,
        bound=best.bound if best and promised else None,
        recall_of=recall_level(prepared),
        calibration=tuple(names[number] for number in calibration),
        test=tuple(names[number] for number in test),
        on_calibration=scored_on(prepared, point, calibration) if point else None,
        on_test=scored_on(prepared, point, test) if point else None,
        scanned_on_test=scored_on(prepared, prepared.run.operating_point, test),
        path=tuple(steps),
        scope=promise.scope(goal, terms, found),
        notes=_notes(prepared, point or prepared.run.operating_point),
        provenance=promise.provenance(prepared, goal, terms, found, calibration),
    )


def _notes(prepared: Prepared, point: OperatingPoint) -> tuple[str, ...]:
    arm = None if point.classifier is None else count_arm(prepared, point, CASCADE)
    return scope_notes(prepared, point, arm)


def _grids(
    prepared: Prepared,
    paths: int,
    detector: Sequence[float] | None,
    classifier: Sequence[float] | None,
) -> tuple[Sequence[float], Sequence[float]]:
    """Fixed before any truth is looked at: the promise depends on that.

    `paths`: detector thresholds, each with a path over the classifier's; 0 without a classifier.
    """
    thresholds = prepared.run.manifest["thresholds"]
    lowest = max(thresholds["floor"], (thresholds.get("gate") or 0.0) if paths else 0.0)
    if detector is None:
        count, top = (paths, 0.95) if paths else (STEPS, 0.99)
        rest = np.round(np.linspace(lowest, max(lowest, top), count)[1:], 3).tolist()
        detector = [lowest, *(value for value in rest if value > lowest)]
    if classifier is None:
        classifier = np.round(np.linspace(0, 0.99, STEPS), 2).tolist() if paths else [0.0]
    return detector, classifier


class _Walk:
    """Judges pairs of thresholds on the calibration cameras."""

    def __init__(
        self, prepared: Prepared, counts: Surfaces, cameras: list[int], goal: Goal, terms: Terms
    ) -> None:
        self._counts, self._cameras, self._goal, self._terms = counts, cameras, goal, terms
        self._hits, self._positives = _hits(counts, recall_level(prepared) == INCIDENTS)
        events, self._exposure = _exposed(counts, goal)
        self._events: Ints = self._hits if goal.is_recall else events

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
        observed = float(events.sum()) / whole if whole else None
        bound = (lower_bound if self._goal.is_recall else upper_bound)(events, exposure, risk)
        figure = bound if self._terms.guarantee else observed
        fine = whole > 0 and figure is not None and self._within(figure)
        threshold = float(counts.classifier[j - 1]) if j else None
        return Step(
            place=(i, j),
            point=OperatingPoint(float(counts.detector[i]), threshold),
            bound=bound if whole else None,
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


def _exposed(counts: Surfaces, goal: Goal) -> tuple[Ints, Floats]:
    """False alarms (cameras, nd, nc + 1) and exposure (cameras,) in the goal's unit."""
    if goal.unit == PER_CAMERA_DAY:
        return counts.counts["false_alerts"], counts.totals["hours_negative"] / 24
    if goal.unit == PER_MILLION_FRAMES:
        return counts.counts["frame_fp"], counts.totals["n_negative"] / 1e6
    incidents = bool(counts.totals["n_incidents"].sum())
    return _hits(counts, incidents)


def _exposed_cameras(counts: Surfaces, cameras: list[int], goal: Goal) -> int:
    return int((_exposed(counts, goal)[1][cameras] > 0).sum())


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
