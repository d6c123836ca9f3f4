"""Two arms, or two runs over the same footage and truth, side by side with paired intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from forensics.errors import ForensicsError
from forensics.evaluation.align import FRAME_LABELS, NEGATIVE, POSITIVE
from forensics.evaluation.events import NO_SCORE, frame_scores
from forensics.evaluation.levels import CASCADE, DETECTOR, ArmCounts, count_arm
from forensics.evaluation.log import Bools, Floats, Ints
from forensics.evaluation.paired import Paired, compare_rates
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.result import per_camera
from forensics.evaluation.rules import check_operating_point
from forensics.types import OperatingPoint


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One side of a comparison: a run joined to truth, thresholds, and an arm."""

    name: str
    prepared: Prepared
    point: OperatingPoint
    arm: str = CASCADE


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Side b against side a.

    `rates` by name: frame false alarms per million, false alerts per camera-hour, frame recall,
    incident recall; each a difference and ratio with paired intervals between cameras, and a
    sign-flip test unless one side's alarms are a subset of the other's.
    `incidents` counts those that both, only one or neither detected; McNemar's test is fair only
    at matched false alarms: see `matched`.
    `disagreements` has one row per evaluated frame on which just one side alarms: which, and
    whether the alarm is true (`outcome`).
    """

    names: tuple[str, str]
    rates: dict[str, Paired]
    incidents: dict[str, int]
    disagreements: pd.DataFrame
    note: str

    def to_json(self) -> dict[str, Any]:
        return {
            "sides": list(self.names),
            "rates": {name: paired.to_json() for name, paired in self.rates.items()},
            "incidents": self.incidents,
            "disagreements": len(self.disagreements),
            "note": self.note,
        }


def compare(a: Side, b: Side) -> Comparison:
    """Compare two sides that saw the same frames with the same truth; else ForensicsError."""
    for side in (a, b):
        check_operating_point(side.prepared.run, side.point)
    order = _same_frames(a.prepared, b.prepared)
    one, other = (count_arm(side.prepared, side.point, side.arm) for side in (a, b))
    shift = media_order(a.prepared, b.prepared)
    rates = _rates(a.prepared, one, other, shift)
    return Comparison(
        names=(a.name, b.name),
        rates=_untested(rates) if is_subset(a, b) else rates,
        incidents=incident_pairs(a, one, b, other),
        disagreements=_disagreements(a, one, b, other, order),
        note=_note(a, b),
    )


def is_subset(a: Side, b: Side) -> bool:
    """Whether the alarms of one side must be among the other's: then a test shows nothing."""
    same_run = a.prepared is b.prepared and a.point.detector == b.point.detector
    return same_run and {a.arm, b.arm} == {DETECTOR, CASCADE}


def _untested(rates: dict[str, Paired]) -> dict[str, Paired]:
    words = "not tested: one side's alarms are a subset of the other's"
    return {name: replace(paired, p_value=None, test=words) for name, paired in rates.items()}


def _note(a: Side, b: Side) -> str:
    if is_subset(a, b):
        return (
            "at equal detector thresholds the cascade's alarms are a subset of the detector's: "
            "fewer false alarms and lower recall are no finding; see matched recall"
        )
    return "paired on the same footage; intervals hold for cameras like these"


def _same_frames(a: Prepared, b: Prepared) -> Ints:
    """Rows of b's frames in the order of a's; refuses runs that judged different frames."""
    tables = [
        pd.DataFrame(
            {
                "media_id": np.array(p.log.media_id, object)[p.log.frame_media],
                "frame_index": p.log.frame_index,
                "label": np.where(p.log.ok, p.labels.frame, -1),
                "row": np.arange(len(p.log.frame_index)),
            }
        )
        for p in (a, b)
    ]
    joined = tables[0].merge(tables[1], on=["media_id", "frame_index"], suffixes=("_a", "_b"))
    same = len(joined) == len(tables[0]) == len(tables[1])
    if not same or not (joined["label_a"] == joined["label_b"]).all():
        raise ForensicsError(
            "the two runs did not judge the same frames; scan the same files with the same "
            "sampling and give the same truth"
        )
    if a.rules != b.rules:
        raise ForensicsError("the two sides have different rules; prepare both with the same")
    return np.asarray(joined.sort_values("row_a")["row_b"], np.int64)


def media_order(a: Prepared, b: Prepared) -> Ints:
    """Media number in b of each media of a; files without frames may be in one run only."""
    places = {media_id: number for number, media_id in enumerate(b.log.media_id)}
    return np.array([places.get(media_id, -1) for media_id in a.log.media_id], np.int64)


def _rates(prepared: Prepared, one: ArmCounts, other: ArmCounts, shift: Ints) -> dict[str, Paired]:
    ledger, rules = prepared.ledger, prepared.rules
    sources: dict[str, tuple[Any, Any, Any]] = {
        "frame_false_alarms_per_million": (one.frame.fp, other.frame.fp, ledger.negative / 1e6),
        "false_alerts_per_camera_hour": (
            one.event.false_alerts,
            other.event.false_alerts,
            ledger.hours_negative,
        ),
        "frame_recall": (one.frame.tp, other.frame.tp, ledger.positive),
        "incident_recall": (one.event.detected, other.event.detected, one.event.incidents),
    }

    def camera(counts: Any) -> Floats:
        return per_camera(prepared, counts)

    return {
        name: compare_rates(
            camera(first),
            camera(np.where(shift >= 0, second[shift], 0)),
            camera(exposure),
            confidence=rules.confidence,
            replicates=rules.replicates,
            seed=rules.seed,
        )
        for name, (first, second, exposure) in sources.items()
    }


def incident_pairs(a: Side, one: ArmCounts, b: Side, other: ArmCounts) -> dict[str, int]:
    """How many incidents both sides, only one of them, or neither detected."""

    def found(side: Side, arm: ArmCounts) -> dict[tuple[str, float], bool]:
        p = side.prepared
        keys = zip(p.incidents.media.tolist(), p.incidents.start_s.tolist(), strict=True)
        hit = np.isfinite(arm.alerts.latency_s).tolist()
        return {(p.log.media_id[m], s): h for (m, s), h in zip(keys, hit, strict=True)}

    first, second = found(a, one), found(b, other)
    pairs = [(first[key], second.get(key, False)) for key in first]
    return {
        "both": pairs.count((True, True)),
        "only_first": pairs.count((True, False)),
        "only_second": pairs.count((False, True)),
        "neither": pairs.count((False, False)),
    }


def _disagreements(
    first_side: Side, one: ArmCounts, second_side: Side, other: ArmCounts, order: Ints
) -> pd.DataFrame:
    a, b = first_side.prepared, second_side.prepared

    def alarms(p: Prepared, arm: ArmCounts) -> Bools:
        return np.asarray(frame_scores(p.log, arm.alive & p.alarming) > NO_SCORE)

    first, second = alarms(a, one), alarms(b, other)[order]
    label = a.labels.frame
    judged = a.log.ok & ((label == NEGATIVE) | (label == POSITIVE))
    rows = np.flatnonzero(judged & (first != second))
    media = a.log.frame_media[rows]
    return pd.DataFrame(
        {
            "media_id": np.array(a.log.media_id, object)[media],
            "path": np.array(a.log.path, object)[media],
            "frame_index": a.log.frame_index[rows].astype(np.int64),
            "time_s": a.log.time_s[rows],
            "frame_label": np.array(FRAME_LABELS, object)[label[rows]],
            "alarm_first": first[rows],
            "alarm_second": second[rows],
            "camera_id": np.array(a.log.camera_names, object)[a.log.camera[media]],
            "alarmed_by": np.where(first[rows], first_side.name, second_side.name).astype(object),
            "outcome": np.where(label[rows] == POSITIVE, "true alarm", "false alarm").astype(
                object
            ),
        }
    )
