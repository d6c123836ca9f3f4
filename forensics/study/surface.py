"""The operating-point surface: what every pair of thresholds would have done, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forensics.errors import ForensicsError
from forensics.evaluation.curves import ratio
from forensics.evaluation.log import Bools, Floats, Ints, Scores
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.surface import Surfaces, surfaces
from forensics.report.planted import Planted
from forensics.study import heat
from forensics.types import OperatingPoint

STEPS = 46
HIGHEST = 0.95
GridPair = tuple[Sequence[float] | None, Sequence[float] | None]


@dataclass(frozen=True, slots=True)
class Level:
    """Names of a level's counts and totals, and how they are said.

    A rate is `unit` x false alarms / exposure.
    """

    hits: str
    false: str
    total: str
    exposure: str
    unit: float
    found: str
    alarms: str
    rate: str


LEVELS = {
    "box": Level(
        "box_tp", "box_fp", "n_gt", "n_box_frames", 1e6,
        "target boxes found", "false boxes", "per million frames",
    ),
    "frame": Level(
        "frame_tp", "frame_fp", "n_positive", "n_negative", 1e6,
        "frames with a target that alarm", "false-alarm frames", "per million frames",
    ),
    "event": Level(
        "detected", "false_alerts", "n_incidents", "hours_negative", 1.0,
        "incidents found", "false alerts", "per camera-hour",
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Surface:
    """Exact counts of one level over detector threshold x classifier threshold.

    Arrays are (detector thresholds, classifier thresholds), the classifier switched off being the
    first column; `classifier` float32 has NaN there. `hits` and `false` int64 count what is found
    and what is false; `valid` bool is False where the log cannot speak (below the run's gate).
    """

    level: str
    detector: Scores
    classifier: Scores
    hits: Ints
    false: Ints
    total: int
    exposure: float
    valid: Bools
    point: OperatingPoint
    word: str
    found: Surfaces

    @property
    def names(self) -> Level:
        """How the level's counts are said."""
        return LEVELS[self.level]

    @property
    def recall(self) -> Floats:
        """Share found, NaN where truth has no positives or the log cannot speak."""
        return self._where_valid(ratio(self.hits, self.total))

    @property
    def false_rate(self) -> Floats:
        """False alarms per million frames, or per camera-hour at event level; NaN if undefined."""
        exposure = np.full(self.false.shape, self.exposure)
        rate = np.divide(self.false, exposure, out=np.full(exposure.shape, np.nan),
                         where=exposure > 0)  # fmt: skip
        return self._where_valid(self.names.unit * rate)

    def _where_valid(self, values: Any) -> Floats:
        return np.where(self.valid, values, np.nan).astype(np.float64)

    def to_frame(self) -> pd.DataFrame:
        """One row per pair: thresholds (classifier NaN = off), hits, false, recall, rate."""
        at_d, at_c = np.nonzero(self.valid)
        return pd.DataFrame(
            {
                "detector": self.detector[at_d],
                "classifier": self.classifier[at_c],
                "hits": self.hits[at_d, at_c],
                "false": self.false[at_d, at_c],
                "recall": self.recall[at_d, at_c],
                "false_rate": self.false_rate[at_d, at_c],
            }
        )

    def front(self) -> pd.DataFrame:
        """The Pareto front: pairs that no other pair beats, by rising false alarms.

        Of pairs with the same counts the lowest thresholds stand. Chosen on the footage that
        judges them, these figures are optimistic.
        """
        table = self.to_frame().sort_values(
            ["false", "hits", "detector", "classifier"],
            ascending=[True, False, True, True], kind="stable",
        )  # fmt: skip
        best = table["hits"].cummax().shift(fill_value=-1)
        return table[table["hits"] > best].reset_index(drop=True)

    def at(self, detector: float, classifier: float | None = None) -> pd.Series:
        """The row of one pair of the grid; classifier None is the detector alone."""
        table = self.to_frame()
        on_c = table["classifier"].isna()
        if classifier is not None:
            on_c = table["classifier"] == np.float32(classifier)
        here = table[(table["detector"] == np.float32(detector)) & on_c]
        if not len(here):
            raise ForensicsError(
                f"detector {detector:g}, classifier {classifier} is not on the grid; give the grid "
                "that holds it to surface()"
            )
        return here.iloc[0]

    def plot(self, ax: Any = None) -> Any:
        """Heat map of recall with lines of equal false alarms, operating point, Pareto front."""
        return heat.heat_map(ax, self)

    def plot_front(self, ax: Any = None) -> Any:
        """Every pair as a point, hits against false alarms: front, detector alone, in use."""
        return heat.front(ax, self)

    def __repr__(self) -> str:
        return (
            f"Surface of {self.names.found} and {self.names.alarms}: {len(self.detector)} detector "
            f"x {len(self.classifier)} classifier thresholds (the first is off)"
        )


def make_surface(
    prepared: Prepared, level: str, point: OperatingPoint, planted: Planted, grid: GridPair
) -> Surface:
    """Count on the grid; a default grid runs from the floor, and holds the operating point."""
    if level not in LEVELS:
        raise ForensicsError(f"unknown level {level!r}; give one of {', '.join(LEVELS)}")
    names = LEVELS[level]
    floor = float(np.float32(prepared.run.manifest["thresholds"]["floor"]))
    on_d = [*np.linspace(floor, HIGHEST, STEPS), point.detector] if grid[0] is None else grid[0]
    on_c = grid[1]
    if on_c is None:
        on_c = [*np.linspace(0, HIGHEST, STEPS), *([] if (c := point.classifier) is None else [c])]
    found = surfaces(prepared, list(on_d), list(on_c), events=level == "event")
    return Surface(
        level=level,
        detector=found.detector,
        classifier=np.append(np.float32(np.nan), found.classifier),
        hits=found.counts[names.hits][0],
        false=found.counts[names.false][0],
        total=int(found.totals[names.total][0]),
        exposure=float(found.totals[names.exposure][0]),
        valid=found.valid,
        point=point,
        word=planted.word(level),
        found=found,
    )
