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
from forensics.evaluation.notes import scope_notes
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.scored import INCIDENTS, recall_level, scored_on
from forensics.evaluation.surface import surfaces
from forensics.evaluation.walk import Step, pick
from forensics.types import OperatingPoint

__all__ = [
    "PER_CAMERA_DAY",
    "PER_MILLION_FRAMES",
    "RECALL",
    "UNITS",
    "Choice",
    "Goal",
    "Step",
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
    incidents = recall_level(prepared) == INCIDENTS
    picked = pick(counts, calibration, goal, terms, cascade=cascade, incidents=incidents)
    steps, best, promised = picked.steps, picked.best, picked.promised
    point = best.point if best else None
    names = prepared.log.camera_names
    found = promise.Found(
        n_calibration=len(calibration),
        n_test=len(test),
        n_exposed=picked.n_exposed,
        nearest=_nearest(steps, goal, cascade=cascade),
        has_recall=steps[0].recall is not None,
        point=point,
        recall_of=recall_level(prepared),
    )
    return Choice(
        goal=goal,
        terms=terms,
        promised=promised,
        operating_point=point,
        bound=best.bound if best and promised else None,
        recall_of=recall_level(prepared),
        calibration=tuple(names[number] for number in calibration),
        test=tuple(names[number] for number in test),
        on_calibration=scored_on(prepared, point, calibration) if point else None,
        on_test=scored_on(prepared, point, test) if point else None,
        scanned_on_test=scored_on(prepared, prepared.run.operating_point, test),
        path=steps,
        scope=promise.scope(goal, terms, found),
        notes=_notes(prepared, point or prepared.run.operating_point),
        provenance=promise.provenance(prepared, goal, terms, found, calibration),
    )


def _nearest(steps: Sequence[Step], goal: Goal, *, cascade: bool) -> float | None:
    """Of the limits with which the paths begin, the one nearest to any promise."""
    first = {step.place[0] if cascade else 0: step.bound for step in reversed(steps)}
    limits = [bound for bound in first.values() if bound is not None]
    return (max if goal.is_recall else min)(limits, default=None)


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
