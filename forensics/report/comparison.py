"""The two arms side by side: rows of figures with limits, and footnotes on how they were made."""

from __future__ import annotations

from collections.abc import Callable

from forensics.report.model import Level, Quantity, Row
from forensics.report.planted import Planted
from forensics.report.quantities import Figures, Footnotes, Quantities
from forensics.report.wording import count

MILLION = 1_000_000
_LEVELS = (
    ("frame", "Frames", "An alarm frame has at least one box that passes the thresholds."),
    ("event", "Events", "Alarm frames close in time are one alert; truth has incidents."),
    ("box", "Boxes", "Every box against the boxes of the truth, on frames that have such labels."),
)


def comparison(arms: Figures, planted: Planted, notes: Footnotes) -> tuple[Level, ...]:
    """All rows of both arms, the headline level first."""
    return tuple(
        Level(
            name,
            explained,
            tuple(_row(key, spec, arms, planted, Quantities(notes)) for spec in _ROWS[key]),
        )
        for key, name, explained in _LEVELS
    )


def scoreboard(arms: Figures, planted: Planted, notes: Footnotes) -> tuple[Row, ...]:
    """The few rows that the verdict rests on."""
    return tuple(
        _row(key, spec, arms, planted, Quantities(notes))
        for key, label in _BOARD
        for spec in _ROWS[key]
        if spec[0] == label
    )


def removed(result: Figures, planted: Planted, notes: Footnotes) -> tuple[Row, ...]:
    """What the classifier took away at each level: false alarms, then true ones."""
    quantities, rows = Quantities(notes), []
    for key, label, hint in _REMOVED:
        figures, before = result["removal"][key], result["arms"]["detector"][key]
        rate, why = before[_RATE[key]], _ABSENT[key]
        false = figures["fp_removed"] if rate["value"] is not None else None
        true = figures["tp_lost"] if before["recall"] is not None else None
        cells = (quantities.tally(false, rate["method"]), quantities.tally(true, why))
        rows.append(Row(label, hint, cells, planted.word(key), bool(true)))
    return tuple(rows)


def _row(key: str, spec: Spec, arms: Figures, planted: Planted, quantities: Quantities) -> Row:
    label, hint, cell, counts_positives = spec
    cells = tuple(cell(quantities, arm[key]) for arm in arms.values() if arm is not None)
    word = planted.word(key) if counts_positives else ""
    return Row(label, hint, cells, word, label in HEADLINES)


HEADLINES = frozenset({"False-alarm frames per million"})
_BOARD = (
    ("frame", "False-alarm frames per million"),
    ("frame", "Recall of frames with a target"),
    ("event", "Incidents found"),
    ("event", "False alerts per camera-hour"),
)
Cell = Callable[[Quantities, Figures], Quantity]
Spec = tuple[str, str, Cell, bool]  # label, explanation, figure, whether positives count in it


def _tally(name: str, why: str) -> Cell:
    return lambda q, figures: q.tally(figures[name], why)


def _precision(why: str) -> Cell:
    def cell(q: Quantities, figures: Figures) -> Quantity:
        return q.share(figures["precision"], figures["precision_interval"], why)

    return cell


def _recall(why: str) -> Cell:
    return lambda q, figures: q.share(figures["recall"], figures["recall_interval"], why)


def _million(q: Quantities, figures: Figures) -> Quantity:
    return q.rate(figures["false_alarms_per_million"], most=MILLION)


def _box_million(q: Quantities, figures: Figures) -> Quantity:
    return q.rate(figures["false_alarms_per_million"])


def _footage(q: Quantities, figures: Figures) -> Quantity:
    return q.plain(figures["false_alarms_per_million_footage"], NO_FRAMES)


def _localised(q: Quantities, figures: Figures) -> Quantity:
    return q.share(figures["localised"]["recall"], None, NO_BOXES)


def _incidents(q: Quantities, figures: Figures) -> Quantity:
    if not figures["incidents"]:
        return q.undefined(NO_INCIDENTS)
    share = q.share(figures["recall"], figures["recall_interval"], NO_INCIDENTS)
    text = f"{count(figures['detected'])} of {count(figures['incidents'])}"
    return Quantity(text, share.limits, share.note)


def _per_hour(q: Quantities, figures: Figures) -> Quantity:
    return q.rate(figures["false_alerts_per_camera_hour"])


def _latency(q: Quantities, figures: Figures) -> Quantity:
    latency = figures["latency_s"]
    why = NO_INCIDENTS if not latency["incidents"] else "at least half of the incidents are missed"
    return q.seconds(latency["median"], why)


NO_BOXES = "the truth has no target boxes on processed frames"
NO_BOX_FRAMES = "the truth has no labels at box level"
NO_FRAMES = "no processed frame has a label"
NO_POSITIVE = "the truth has no frame with a target here"
NO_INCIDENTS = "the truth has no incident here"
NO_CLOCK = "no labelled frame has a time"
_REMOVED = (
    ("frame", "Alarm frames", "without a target; with one"),
    ("event", "Alerts and incidents", "false alerts; incidents found"),
    ("box", "Boxes", "on no target; on one"),
)
_RATE = {
    "frame": "false_alarms_per_million",
    "event": "false_alerts_per_camera_hour",
    "box": "false_alarms_per_million",
}
_ABSENT = {"frame": NO_POSITIVE, "event": NO_INCIDENTS, "box": NO_BOXES}
NO_ALARM = "there is no alarm on labelled frames to be right or wrong"

_ROWS: dict[str, tuple[Spec, ...]] = {
    "frame": (
        (
            "False-alarm frames per million",
            "of a million frames without a target, how many raise an alarm",
            _million,
            False,
        ),
        (
            "Recall of frames with a target",
            "share of them with an alarm",
            _recall(NO_POSITIVE),
            True,
        ),
        ("Precision of alarm frames", "share of them with a target", _precision(NO_ALARM), True),
        ("Alarm frames with a target", "true positives", _tally("tp", NO_FRAMES), True),
        ("Alarm frames without one", "false positives", _tally("fp", NO_FRAMES), False),
        ("Missed frames with a target", "false negatives", _tally("fn", NO_FRAMES), True),
        ("Quiet frames without one", "true negatives", _tally("tn", NO_FRAMES), False),
        (
            "Localised recall",
            "share of frames with a target box on which a box lies on it",
            _localised,
            True,
        ),
        (
            "False-alarm frames per million of footage",
            "against all frames of footage, also those that sampling left out",
            _footage,
            False,
        ),
        (
            "Alarm frames without a label",
            "in no other figure",
            _tally("unverified", NO_FRAMES),
            False,
        ),
    ),
    "event": (
        ("Incidents found", "at least one alarm frame within the incident", _incidents, True),
        (
            "False alerts per camera-hour",
            "per hour of labelled footage outside incidents",
            _per_hour,
            False,
        ),
        ("Precision of alerts", "share of judged alerts that are true", _precision(NO_ALARM), True),
        ("Alerts", "alarm frames merged by the gap", _tally("alerts", NO_CLOCK), False),
        ("False alerts", "no alarm frame in an incident", _tally("false_alerts", NO_CLOCK), False),
        (
            "Repeat alerts",
            "further alerts on an incident that was found already",
            _tally("repeat_alerts", NO_CLOCK),
            True,
        ),
        (
            "Unverified alerts",
            "on frames without a label",
            _tally("unverified_alerts", NO_CLOCK),
            False,
        ),
        (
            "Median delay",
            "from an incident's start to its first alarm; misses count",
            _latency,
            True,
        ),
    ),
    "box": (
        ("False boxes per million frames", "boxes on no target", _box_million, False),
        ("Recall of target boxes", "share of them that a box takes", _recall(NO_BOXES), True),
        ("Precision of boxes", "share of boxes on a target", _precision(NO_BOXES), True),
        ("Boxes on a target", "true positives", _tally("tp", NO_BOXES), True),
        ("Boxes on none", "false positives", _tally("fp", NO_BOX_FRAMES), False),
        ("Missed target boxes", "false negatives", _tally("fn", NO_BOXES), True),
        (
            "Duplicates",
            "second boxes on one target, counted as false",
            _tally("duplicates", NO_BOXES),
            True,
        ),
    ),
}
