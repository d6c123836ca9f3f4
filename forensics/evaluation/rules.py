"""The rules of an evaluation: everything but the run, the truth and the thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forensics.errors import ForensicsError
from forensics.runlog.reader import RunTables
from forensics.types import OperatingPoint

UNLABELLED = ("skip", "negative")
EVENT_RULES = ("gap_s", "confirm_hits", "confirm_frames")


@dataclass(frozen=True, slots=True)
class Rules:
    """How alarms are matched with truth, and how sure the figures are.

    `iou` least overlap of a hit; `gap_s` alarm frames closer than this are one alert, and truth
    spans closer than this are one incident; `collar_s` how far outside an incident an alarm still
    belongs to it; an alarm frame needs `confirm_hits` of the last `confirm_frames` processed
    frames to alarm; `unlabelled` frames are skipped or taken as negative; `class_map` renames
    truth classes (an empty name drops the class); intervals have the given `confidence`, and
    bootstraps `replicates` draws from `seed`.
    """

    iou: float = 0.5
    gap_s: float = 5.0
    collar_s: float = 2.0
    confirm_hits: int = 1
    confirm_frames: int = 1
    unlabelled: str = "skip"
    class_map: Mapping[str, str] = field(default_factory=dict)
    confidence: float = 0.95
    replicates: int = 2000
    seed: int = 20240229

    def __post_init__(self) -> None:
        checks = (
            (0 < self.iou <= 1, "the IoU must be above 0 and at most 1"),
            (0 <= self.gap_s < np.inf, "the gap must be 0 s or more"),
            (0 <= self.collar_s < np.inf, "the collar must be 0 s or more"),
            (1 <= self.confirm_hits <= self.confirm_frames, "confirm k/n needs 1 <= k <= n"),
            (self.unlabelled in UNLABELLED, f"unlabelled must be one of {', '.join(UNLABELLED)}"),
            (0 < self.confidence < 1, "the confidence must lie between 0 and 1"),
            (self.replicates >= 1, "the bootstrap needs at least one replicate"),
        )
        for fine, message in checks:
            if not fine:
                raise ForensicsError(f"{message}; correct the option")

    def to_json(self) -> dict[str, Any]:
        """The rules as plain values, for the JSON of an evaluation."""
        return {
            "iou": self.iou,
            "gap_s": self.gap_s,
            "collar_s": self.collar_s,
            "confirm": f"{self.confirm_hits}/{self.confirm_frames}",
            "unlabelled": self.unlabelled,
            "class_map": dict(self.class_map),
            "confidence": self.confidence,
            "bootstrap_replicates": self.replicates,
            "seed": self.seed,
        }


def run_rules(run: RunTables, **given: Any) -> Rules:
    """The rules that go with a run: its cascade's event rule, and what is `given` and not None."""
    kept = run.manifest.get("events", {})
    events = {name: kept[name] for name in EVENT_RULES if name in kept}
    return Rules(**{**events, **{name: v for name, v in given.items() if v is not None}})


def run_operating_point(run: RunTables) -> OperatingPoint:
    """The thresholds that the scan ran with."""
    thresholds = run.manifest["thresholds"]
    return OperatingPoint(thresholds["detector"], thresholds["classifier"])


def point_at(
    run: RunTables, detector: float | None = None, classifier: float | None = None
) -> OperatingPoint:
    """The operating point with these thresholds; the scan's own where None."""
    scanned = run_operating_point(run)
    return OperatingPoint(
        scanned.detector if detector is None else detector,
        scanned.classifier if classifier is None else classifier,
    )


def target_classes(run: RunTables) -> tuple[str, ...]:
    """Names of the classes that the run looks for."""
    return tuple(run.manifest["cascade"]["target_classes"])


def known_classes(run: RunTables) -> tuple[str, ...]:
    """Names that the cascade tells apart, without the targets."""
    names = run.manifest["cascade"].get("classifier_classes") or ()
    targets = target_classes(run)
    return tuple(name for name in names if name not in targets)


def check_operating_point(run: RunTables, point: OperatingPoint) -> None:
    """Refuse thresholds about which this run's log cannot speak.

    Scores are float32, so thresholds are compared as float32 everywhere.
    """
    thresholds = run.manifest["thresholds"]
    chosen = np.float32(point.detector)
    values = [point.detector, *([] if point.classifier is None else [point.classifier])]
    if not all(0 <= value <= 1 for value in values):
        raise ForensicsError("thresholds lie between 0 and 1; correct them")
    if chosen < np.float32(thresholds["floor"]):
        raise ForensicsError(
            f"detector threshold {point.detector:g} is below the run's logging floor "
            f"{thresholds['floor']:g}: boxes there were not kept; raise it or scan lower"
        )
    gate = thresholds.get("gate")
    if point.classifier is None or gate is None:
        return
    if not run.manifest["cascade"].get("classifier_classes"):
        raise ForensicsError("this run has no classifier; leave the classifier threshold out")
    if chosen < np.float32(gate):
        raise ForensicsError(
            f"detector threshold {point.detector:g} is below the run's classification gate "
            f"{gate:g}: boxes between were not classified; raise it, or scan again"
        )
