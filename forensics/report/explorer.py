"""The operating-point explorer: exact counts at every pair of a grid, for the page to look up.

The page adds nothing of its own: it divides these counts by these totals, as `evaluate` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forensics.evaluation.align import POSITIVE
from forensics.evaluation.grid import typed_thresholds
from forensics.evaluation.log import Floats
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import rate_limits
from forensics.evaluation.result import MILLION, per_camera
from forensics.evaluation.surface import Surfaces, surfaces
from forensics.report import comparison as said
from forensics.report.by_hand import command
from forensics.report.contours import Contours, contours
from forensics.report.equal import COLUMNS, Recalled, recalled, words
from forensics.report.planted import Planted
from forensics.report.wording import UNDEFINED, number, percent
from forensics.types import OperatingPoint

OFF = "off"
MOST_CELLS = 30_000_000  # cameras times pairs of thresholds whose counts are held at once
TABLE_STEPS = 8
SWITCHED_OFF = "the classifier is switched off"
NOT_CLASSIFIED = "boxes below the run's gate were not classified"


@dataclass(frozen=True, slots=True)
class Line:
    """A figure that follows the thresholds: its key in the JSON of `evaluate`, and its wording.

    `style` is rate, share or count; `why` is why it can be undefined; `headline` ones stand
    first; `mapped` ones can be shown as a map over both thresholds.
    """

    key: str
    label: str
    style: str
    why: str
    hint: str = ""
    headline: bool = False
    mapped: bool = False
    planted: str = ""

    @property
    def level(self) -> str:
        return self.key.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Explorer:
    """What the template prints: lines by level, what the script reads, and tables of the charts.

    `recalled` and `contours` are empty without a classifier.
    """

    headlines: tuple[Line, ...]
    levels: tuple[tuple[str, tuple[Line, ...]], ...]
    ledger: tuple[Line, ...]
    mapped: tuple[Line, ...]
    data: dict[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    recalled: tuple[Recalled, ...] = ()
    front_columns: tuple[str, ...] = COLUMNS
    contours: Contours = field(default_factory=Contours)


NO_NEGATIVE = "the truth has no frame without a target"
NO_HOURS = "the truth has no time without a target"
LINES = (
    Line("frame.false_alarms_per_million", "False-alarm frames per million", "rate", NO_NEGATIVE,
         "frames without a target that raise an alarm", headline=True, mapped=True),
    Line("frame.recall", "Recall of frames with a target", "share", said.NO_POSITIVE,
         headline=True, mapped=True),
    Line("frame.precision", "Precision of alarm frames", "share", said.NO_ALARM, headline=True,
         mapped=True),
    Line("event.recall", "Incidents found", "share", said.NO_INCIDENTS, headline=True, mapped=True),
    Line("event.false_alerts_per_camera_day", "False alerts per camera-day", "rate", NO_HOURS,
         "24 times the rate per camera-hour", headline=True, mapped=True),
    Line("frame.tp", "Alarm frames with a target", "count", said.NO_FRAMES),
    Line("frame.fp", "Alarm frames without one", "count", said.NO_FRAMES),
    Line("frame.fn", "Missed frames with a target", "count", said.NO_FRAMES),
    Line("frame.tn", "Quiet frames without one", "count", said.NO_FRAMES),
    Line("frame.localised.recall", "Localised recall", "share", said.NO_BOXES, mapped=True),
    Line("event.detected", "Incidents found", "count", said.NO_CLOCK),
    Line("event.alerts", "Alerts", "count", said.NO_CLOCK),
    Line("event.false_alerts", "False alerts", "count", said.NO_CLOCK),
    Line("event.precision", "Precision of alerts", "share", said.NO_ALARM, mapped=True),
    Line("event.false_alerts_per_camera_hour", "False alerts per camera-hour", "rate", NO_HOURS),
    Line("box.recall", "Recall of target boxes", "share", said.NO_BOXES, mapped=True),
    Line("box.precision", "Precision of boxes", "share", said.NO_BOXES, mapped=True),
    Line("box.false_alarms_per_million", "False boxes per million frames", "rate",
         said.NO_BOX_FRAMES, mapped=True),
    Line("box.tp", "Boxes on a target", "count", said.NO_BOXES),
    Line("box.fp", "Boxes on none", "count", said.NO_BOX_FRAMES),
    Line("box.fn", "Missed target boxes", "count", said.NO_BOXES),
)  # fmt: skip
LEDGER = (
    Line("removal.frame.fp_removed", "Alarm frames without a target", "count", NO_NEGATIVE),
    Line("removal.frame.tp_lost", "Alarm frames with one", "count", said.NO_POSITIVE),
    Line("removal.event.fp_removed", "False alerts", "count", NO_HOURS),
    Line("removal.event.tp_lost", "Incidents found", "count", said.NO_INCIDENTS),
    Line("removal.box.fp_removed", "Boxes on no target", "count", said.NO_BOX_FRAMES),
    Line("removal.box.tp_lost", "Boxes on one", "count", said.NO_BOXES),
)
_LEVELS = (("frame", "Frames"), ("event", "Events"), ("box", "Boxes"))
_POSITIVES = ("recall", "precision", "tp", "fn", "detected", "tp_lost", "alerts")


def explore(
    prepared: Prepared,
    point: OperatingPoint,
    planted: Planted,
    truth_format: str | None = None,
) -> Explorer:
    """Count on a grid around the operating point, which is one of its pairs."""
    thresholds = prepared.run.manifest["thresholds"]
    detector = typed_thresholds(prepared.log.score, thresholds["floor"], [point.detector])
    classifier: tuple[str, ...] = ()
    if prepared.run.manifest["cascade"].get("classifier_classes"):
        keep = [] if point.classifier is None else [point.classifier]
        target = prepared.log.target
        classifier = typed_thresholds(target[~np.isnan(target)], 0.0, keep)
    counted, limits = _count(prepared, detector, classifier)
    start = [
        _place(detector, point.detector),
        0 if point.classifier is None else 1 + _place(classifier, point.classifier),
    ]
    lines = [_with_planted(line, planted) for line in LINES]
    whole = _whole(counted)
    columns, rows = _table(whole, detector, classifier, start)
    levels: tuple[Recalled, ...] = ()
    curves = Contours()
    if classifier:
        levels = recalled(prepared, whole, (detector, (OFF, *classifier)), planted)
        curves = contours(whole, detector, classifier, _picked(len(detector), start[0]))
    return Explorer(
        headlines=tuple(line for line in lines if line.headline),
        levels=tuple(
            (name, tuple(x for x in lines if x.level == key and not x.headline))
            for key, name in _LEVELS
        ),
        ledger=tuple(_with_planted(line, planted) for line in LEDGER) if classifier else (),
        mapped=tuple(line for line in lines if line.mapped),
        data={
            "detector": detector,
            "classifier": (OFF, *classifier),
            "start": start,
            "gate": int((~counted.valid[:, -1]).sum()),
            "counts": {
                name: _steps(grid) for name, grid in whole.counts.items() if name != "box_ignored"
            },
            "totals": _totals(prepared),
            "limits": limits,
            "lines": [[line.key, line.style, line.why] for line in (*LINES, *LEDGER)],
            "command": command(prepared, truth_format),
            "off": SWITCHED_OFF,
            "unclassified": NOT_CLASSIFIED,
            "contours": curves.to_json(),
            "equal": {level.key: level.data for level in levels},
            "equal_words": words(),
        },
        columns=columns,
        rows=rows,
        recalled=levels,
        contours=curves,
    )


def _whole(counted: Surfaces) -> Surfaces:
    """The surface of all cameras together, in one bucket."""
    return Surfaces(
        counted.detector,
        counted.classifier,
        {name: grid.sum(axis=0, keepdims=True) for name, grid in counted.counts.items()},
        {name: values.sum(keepdims=True) for name, values in counted.totals.items()},
        counted.valid,
    )


def _place(thresholds: Sequence[str], value: float) -> int:
    return [np.float32(text) for text in thresholds].index(np.float32(value))


def _with_planted(line: Line, planted: Planted) -> Line:
    level, _, name = line.key.removeprefix("removal.").rpartition(".")
    word = planted.word(level.partition(".")[0]) if name in _POSITIVES else ""
    return Line(**{k: getattr(line, k) for k in Line.__slots__} | {"planted": word})


def _count(
    prepared: Prepared, detector: Sequence[str], classifier: Sequence[str]
) -> tuple[Surfaces, dict[str, Any] | None]:
    """Counts at every pair; and limits of false-alarm frames per million, while cameras are few."""
    grids = [float(text) for text in detector], [float(text) for text in classifier or ("1",)]
    shape = len(grids[0]), len(classifier) + 1
    cameras = len(prepared.log.camera_names)
    fits = cameras * (shape[1] + 1) * shape[0] <= MOST_CELLS
    counted = surfaces(prepared, *grids, by_camera=fits)
    cut = Surfaces(
        counted.detector,
        counted.classifier,
        {name: grid[:, :, : shape[1]] for name, grid in counted.counts.items()},
        counted.totals,
        counted.valid[:, : shape[1]],
    )
    if not fits:
        return cut, None
    events = cut.counts["frame_fp"].reshape(cameras, -1).astype(np.float64)
    exposure = per_camera(prepared, prepared.ledger.negative)
    low, high = rate_limits(events, exposure, prepared.rules.confidence)
    high = np.minimum(high * MILLION, MILLION)
    return cut, {"low": _plain(low * MILLION), "high": _plain(high)}


def _plain(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.12g}") for value in values.tolist()]


def _steps(grid: Any) -> list[int]:
    """A surface row by row as differences from one pair to the next: short to write."""
    return np.diff(grid.ravel(), prepend=0).tolist()  # type: ignore[no-any-return]


def _totals(prepared: Prepared) -> dict[str, float]:
    """What the counts are shares of; as `evaluate` adds them up."""
    ledger, labels = prepared.ledger, prepared.labels
    hours = per_camera(prepared, ledger.hours_negative)
    localised = (labels.frame == POSITIVE) & labels.has_boxes & prepared.log.ok
    return {
        "targets": int(prepared.pairs.n_gt.sum()),
        "box_frames": int(ledger.box_frames.sum()),
        "positive": int(ledger.positive.sum()),
        "negative": int(ledger.negative.sum()),
        "localised": int(localised.sum()),
        "timed": int(ledger.timed_frames.sum()),
        "incidents": len(prepared.incidents),
        "hours": float(hours[hours > 0].sum()),
    }


def _table(
    whole: Surfaces, detector: Sequence[str], classifier: Sequence[str], start: Sequence[int]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The map thinned to a table: recall and false alarms of frames at some of the pairs."""
    down = _picked(len(detector), start[0])
    across = [0, *(j for j in _picked(len(classifier) + 1, start[1]) if j)]
    positive, negative = (float(whole.totals[name][0]) for name in ("n_positive", "n_negative"))
    tp, fp = (whole.counts[name][0] for name in ("frame_tp", "frame_fp"))

    def cell(i: int, j: int) -> str:
        if not whole.valid[i, j]:
            return UNDEFINED
        recall = tp[i, j] / positive if positive else None
        rate = MILLION * fp[i, j] / negative if negative else None
        return f"{percent(recall)}; {number(rate)}"

    names = [OFF, *classifier]
    rows = tuple((detector[i], *(cell(i, j) for j in across)) for i in down)
    return ("detector", *(f"classifier {names[j]}" for j in across)), rows


def _picked(count: int, own: int) -> list[int]:
    even: Iterator[int] = map(int, np.linspace(0, count - 1, min(TABLE_STEPS, count)).round())
    return sorted({*even, own})
