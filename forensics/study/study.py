"""A run held against truth: every question about it, at any thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from forensics.errors import ForensicsError
from forensics.evaluation.compare import Side, compare
from forensics.evaluation.curves import curves
from forensics.evaluation.decisions import decisions_prepared
from forensics.evaluation.evaluate import denominators, evaluate_prepared
from forensics.evaluation.levels import ARMS, CASCADE, DETECTOR, ArmCounts, count_arm
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rules import check_operating_point, point_at
from forensics.evaluation.scored import FRAMES, INCIDENTS
from forensics.evaluation.side_by_side import compare_arms_prepared, compare_runs
from forensics.evaluation.strata import strata
from forensics.report.planted import Planted, count_planted
from forensics.study import plots, tables
from forensics.study.gallery import Gallery
from forensics.study.results import Compared, Evaluated
from forensics.study.surface import Surface, make_surface
from forensics.truth.base import Truth
from forensics.types import OperatingPoint

if TYPE_CHECKING:
    from forensics.study.run import Run

RECALL_LEVELS = {"frame": FRAMES, "event": INCIDENTS}


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """A run joined to its truth: every question about it, at any thresholds."""

    run: Run
    truth: Truth
    prepared: Prepared

    @property
    def planted(self) -> Planted:
        """How many positives a computer put into the footage."""
        return count_planted(self.prepared)

    @property
    def denominators(self) -> dict[str, Any]:
        """What the figures are shares of."""
        return denominators(self.prepared)

    def evaluate(self, detector: float | None = None, classifier: float | None = None) -> Evaluated:
        """Both arms at one operating point, with intervals: what `forensics evaluate` says."""
        return Evaluated(evaluate_prepared(self.prepared, self._point(detector, classifier)))

    def compare(
        self,
        other: Run | None = None,
        *,
        level: str | None = None,
        detector: float | None = None,
        classifier: float | None = None,
    ) -> Compared:
        """The detector alone against the cascade; with `other`, this run (A) against it (B).

        Two runs are compared at their own thresholds, over the footage that both scanned. Equal
        recall is that of `level`, frame or event; by default of incidents, where there are any.
        """
        matched_on = None if level is None else _one_of(RECALL_LEVELS, "level", level)
        if other is None:
            point = self._point(detector, classifier)
            return Compared(compare_arms_prepared(self.prepared, point, matched_on))
        if (detector, classifier) != (None, None):
            raise ForensicsError("two runs are compared at their own thresholds; give none")
        return Compared(
            compare_runs(
                self.run.tables, other.tables, self.truth, self.prepared.rules, level=matched_on
            )
        )

    def surface(
        self,
        level: str = "frame",
        detector: Sequence[float] | None = None,
        classifier: Sequence[float] | None = None,
    ) -> Surface:
        """Exact counts at every pair of thresholds of a grid; level is box, frame or event."""
        point = self._point(None, None)
        return make_surface(self.prepared, level, point, self.planted, (detector, classifier))

    def curve(
        self,
        classifier: float | None = None,
        *,
        detector: float | None = None,
        thresholds: Sequence[float] | None = None,
    ) -> pd.DataFrame:
        """Both arms over the detector threshold, the cascade's classifier threshold fixed."""
        point = self._point(detector, classifier)
        return curves(self.prepared, point, thresholds=thresholds)

    def plot_recall_vs_false_alarms(
        self,
        ax: Any = None,
        *,
        level: str = "frame",
        detector: float | None = None,
        classifier: float | None = None,
    ) -> Any:
        """Recall against false alarms as the detector threshold moves; level as in `surface`."""
        point = self._point(detector, classifier)
        table = curves(self.prepared, point)
        return plots.trade_off(ax, table, self.prepared, point, level, self.planted)

    def decisions(
        self, detector: float | None = None, classifier: float | None = None
    ) -> pd.DataFrame:
        """As `Run.decisions`, with what truth says of each detection."""
        found = decisions_prepared(self.prepared, self._point(detector, classifier))
        return tables.with_boxes(found, self.run.tables)

    def events(
        self, detector: float | None = None, classifier: float | None = None, arm: str = CASCADE
    ) -> pd.DataFrame:
        """The true incidents, and whether and how soon one arm finds each."""
        counts = self._counts(detector, classifier, arm)
        return tables.incident_table(self.prepared, counts)

    def alerts(
        self, detector: float | None = None, classifier: float | None = None, arm: str = CASCADE
    ) -> pd.DataFrame:
        """The alerts of one arm: true, repeat, false or unverified."""
        return tables.alert_table(self.prepared, self._counts(detector, classifier, arm))

    def strata(
        self,
        by: str | None = None,
        *,
        detector: float | None = None,
        classifier: float | None = None,
    ) -> pd.DataFrame:
        """Recall and false alarms in parts of the footage: by camera, height or suspect; or all.

        Shares with their counts and pooled Wilson limits; `few` marks parts too small to rank.
        """
        table = strata(self.prepared, self._point(detector, classifier))
        if by is None:
            return table
        return table[table["stratum"].isin(plots.strata_of(by))].reset_index(drop=True)

    def plot_strata(
        self,
        by: str = "camera",
        ax: Any = None,
        *,
        false_alarms: bool = False,
        detector: float | None = None,
        classifier: float | None = None,
    ) -> Any:
        """Forest plot of recall (or the share of false-alarm frames) by part, both arms."""
        table = self.strata(by, detector=detector, classifier=classifier)
        confidence = self.prepared.rules.confidence
        return plots.forest(ax, table, by, false_alarms=false_alarms, confidence=confidence)

    def disagreements(
        self, detector: float | None = None, classifier: float | None = None
    ) -> pd.DataFrame:
        """Frames on which only one arm alarms, and whether that alarm is true."""
        point = self._point(detector, classifier)
        sides = (Side(arm, self.prepared, point, arm) for arm in (DETECTOR, CASCADE))
        return compare(*sides).disagreements

    def failures(
        self, detector: float | None = None, classifier: float | None = None, arm: str = CASCADE
    ) -> pd.DataFrame:
        """False boxes and missed truth boxes of one arm, each with its cause."""
        point = self._point(detector, classifier)
        return tables.failure_table(self.prepared, point, known_arm(arm))

    def gallery(self, rows: pd.DataFrame, **options: Any) -> Gallery:
        """Pictures of rows that have a box, fetched from the footage and kept in RUN/evidence.

        Options: `limit` pictures at most, drawn with `seed` fairly between groups of the columns
        `by`; `columns` in a row; `title`.
        """
        return self.run.gallery(rows, **options)

    def __repr__(self) -> str:
        found, planted = self.denominators, self.planted
        word = planted.word("frame")
        return (
            f"{self.run!r}\nheld against {len(self.truth.sources):,} truth files: "
            f"{found['frames_positive']:,} frames with a target{f' ({word})' if word else ''}, "
            f"{found['frames_negative']:,} without, {found['frames_unlabelled']:,} unlabelled, "
            f"{len(self.prepared.incidents):,} incidents"
        )

    def _point(self, detector: float | None, classifier: float | None) -> OperatingPoint:
        point = point_at(self.run.tables, detector, classifier)
        check_operating_point(self.run.tables, point)
        return point

    def _counts(self, detector: float | None, classifier: float | None, arm: str) -> ArmCounts:
        return count_arm(self.prepared, self._point(detector, classifier), known_arm(arm))


def known_arm(arm: str) -> str:
    """The name of an arm. Raises ForensicsError."""
    return _one_of({name: name for name in ARMS}, "arm", arm)


def _one_of(known: Mapping[str, str], what: str, given: str) -> str:
    """What a word given by the user stands for. Raises ForensicsError."""
    if given not in known:
        raise ForensicsError(f"unknown {what} {given!r}; give one of {', '.join(known)}")
    return known[given]
