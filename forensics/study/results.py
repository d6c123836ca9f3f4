"""What a study answers: figures as numbers, as a table, and as a notebook shows them.

The figures are those of `forensics evaluate` and `forensics compare`, from the same functions.
Undefined is NaN in tables and `n/a` in words, never 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from forensics.evaluation.grid import typed
from forensics.evaluation.result import Evaluation
from forensics.evaluation.side_by_side import SideBySide
from forensics.evaluation.text import level_rows, render
from forensics.evaluation.text_compare import render_comparison
from forensics.evaluation.text_numbers import number

LIMITS = ("value", "low", "high")
SITUATION = {
    "detector_threshold": "detector threshold",
    "incidents_detected": "incidents found",
    "incident_recall": "incident recall",
    "frame_recall": "frame recall",
    "false_alarm_frames": "false-alarm frames",
    "false_alarms_per_million": "per million frames",
    "false_alerts": "false alerts",
}


@dataclass(frozen=True, eq=False, repr=False)
class Evaluated:
    """Both arms at one operating point, judged by truth."""

    evaluation: Evaluation

    @property
    def notes(self) -> tuple[str, ...]:
        """What the figures cannot say."""
        return self.evaluation.notes

    def to_json(self) -> dict[str, Any]:
        """The JSON of `forensics evaluate --format json`."""
        return self.evaluation.to_json()

    def to_frame(self) -> pd.DataFrame:
        """Every figure: rows (level, figure), columns (arm, value | low | high), float64."""
        columns: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
        for arm, figures in self.evaluation.arms.items():
            for limit in LIMITS if figures else ():
                columns[arm, limit] = {}
            for level in ("box", "frame", "event") if figures else ():
                for name, values in _figures(figures[level]):
                    for limit, value in values.items():
                        columns[arm, limit][level, name] = np.nan if value is None else value
        table = pd.DataFrame(columns, dtype=np.float64)
        return table.rename_axis(index=["level", "figure"], columns=["arm", None])

    def cameras(self) -> pd.DataFrame:
        """Counts of both arms, one row per camera with evaluated frames."""
        return pd.DataFrame(list(self.evaluation.cameras)).set_index("camera")

    def __repr__(self) -> str:
        return render(self.to_json(), brief=True)

    def _repr_html_(self) -> str:
        arms = {name: arm for name, arm in self.evaluation.arms.items() if arm is not None}
        rows = level_rows(arms)
        table = pd.DataFrame(
            [row[2:] for row in rows],
            index=pd.MultiIndex.from_tuples([row[:2] for row in rows], names=["level", ""]),
            columns=pd.Index(arms),
        )
        point, counts = self.evaluation.operating_point, self.evaluation.denominators
        heading = (
            f"Detector threshold {typed(point.detector)}, "
            f"classifier threshold {typed(point.classifier)}; "
            f"{counts['frames_positive']:,} frames with a target, "
            f"{counts['frames_negative']:,} without, {counts['cameras_evaluated']:,} cameras. "
            f"Limits of {100 * self.evaluation.rules['confidence']:g} % in brackets."
        )
        return f"<p>{escape(heading)}</p>{table.to_html()}{note_list(self.notes)}"


def _figures(level: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, float | None]]]:
    """Name and value with limits of each figure; parts of a figure follow its name."""
    for name, value in level.items():
        if name.endswith("_interval"):
            continue
        if not isinstance(value, Mapping):
            limits = level.get(f"{name}_interval") or {}
            yield name, {key: limits.get(key) for key in LIMITS} | {"value": value}
        elif "method" in value:
            yield name, {key: value[key] for key in LIMITS}
        else:
            for part, number in value.items():
                yield f"{name} {part}", {"value": number, "low": None, "high": None}


def note_list(notes: Sequence[str]) -> str:
    """Notes as an HTML list."""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<p>What these figures cannot say:</p><ul>{items}</ul>" if items else ""


@dataclass(frozen=True, eq=False, repr=False)
class Compared:
    """Two sides over the same footage: a run's arms, or the cascades of two runs.

    The first side is the yardstick: where the second is matched, only the first side's detector
    threshold moves.
    """

    found: SideBySide

    @property
    def disagreements(self) -> pd.DataFrame:
        """One row per evaluated frame on which only one side alarms."""
        return self.found.disagreements

    def to_json(self) -> dict[str, Any]:
        """The JSON of `forensics compare --format json`."""
        return self.found.to_json()

    def to_frame(self) -> pd.DataFrame:
        """Both sides as they stand, then the first at the second's recall and false alarms."""
        matched = self.found.matched
        moved, kept = matched["moved"], matched["kept"]
        rows = {kept: self._standing(kept), moved: self._standing(moved)}
        for key, words in (
            ("recall", f"{matched['level'][:-1]} recall of {kept}"),
            ("false_alarms", f"false alarms of {kept}"),
        ):
            part = matched[key]
            figures = (part["figures"] or {}).get(moved, {})
            threshold = {"detector_threshold": part["detector_threshold"]}
            rows[f"{moved} at the {words}"] = threshold | figures
        table = pd.DataFrame.from_dict(rows, orient="index", columns=list(SITUATION))
        return table.astype(np.float64).rename(columns=SITUATION)

    def _standing(self, side: str) -> dict[str, Any]:
        """A side's figures at its own operating point, named as in `matched`."""
        evaluations = self.found.evaluations
        evaluation = evaluations.get(side) or next(iter(evaluations.values()))
        arms = evaluation.arms
        arm = arms[side] if side in arms else arms["cascade"] or arms["detector"]
        frame, event = arm["frame"], arm["event"]
        return {
            "detector_threshold": evaluation.operating_point.detector,
            "incidents_detected": event["detected"] if event["incidents"] else None,
            "incident_recall": event["recall"],
            "frame_recall": frame["recall"],
            "false_alarm_frames": frame["fp"],
            "false_alarms_per_million": frame["false_alarms_per_million"]["value"],
            "false_alerts": event["false_alerts"],
        }

    def differences(self) -> pd.DataFrame:
        """The second side against the first, paired by camera: value, low, high of each."""
        comparison, matched = self.found.comparison, self.found.matched
        rows: dict[str, Mapping[str, Any]] = {}
        for name, paired in comparison.rates.items():
            figures = paired.to_json()
            rows[f"{name}, difference"] = figures["difference"]
            rows[f"{name}, ratio"] = figures["ratio"]
        level = matched["level"][:-1]
        rows[f"false-alarm frames at equal {level} recall, ratio"] = matched["recall"][
            "false_alarm_ratio"
        ]
        rows[f"{level} recall at equal false alarms, difference"] = matched["false_alarms"][
            "recall_difference"
        ]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=list(LIMITS))
        return table.astype(np.float64).rename(index=lambda name: name.replace("_", " "))

    def __repr__(self) -> str:
        return render_comparison(self.to_json())

    def _repr_html_(self) -> str:
        first, second = self.found.comparison.names
        shown = self.to_frame().map(_short)
        against = self.differences().map(_short)
        notes = dict.fromkeys(self.found.notes)
        for evaluation in self.found.evaluations.values():
            notes |= dict.fromkeys(evaluation.notes)
        return (
            f"<p>{escape(second)} beside {escape(first)}; {self.found.media:,} files, "
            f"{len(self.found.left_out):,} left out.</p>{shown.to_html()}"
            f"<p>{escape(second)} against {escape(first)}, paired by camera, with limits:</p>"
            f"{against.to_html()}{note_list([self.found.comparison.note, *notes])}"
        )


def _short(value: float) -> str:
    """A number for a table's cell."""
    if np.isnan(value):
        return "n/a"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else number(value)
