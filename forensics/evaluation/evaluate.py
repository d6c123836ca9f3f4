"""Judge a run against truth at one operating point: detector alone beside the whole cascade."""

from __future__ import annotations

from typing import Any

import numpy as np

from forensics.evaluation.actev import strict_arm
from forensics.evaluation.classes import DECOY, TARGET
from forensics.evaluation.curves import sweep
from forensics.evaluation.envelope import envelope
from forensics.evaluation.fair import matched_false_alarms, matched_recall, removal
from forensics.evaluation.levels import CASCADE, DETECTOR, ArmCounts, count_arm
from forensics.evaluation.notes import scope_notes
from forensics.evaluation.prepare import Prepared, prepare
from forensics.evaluation.result import ArmFigures, Evaluation, per_camera
from forensics.evaluation.rules import Rules, check_operating_point, run_operating_point
from forensics.evaluation.strata import method, strata
from forensics.evaluation.trust import precision_elsewhere, trust
from forensics.runlog.reader import RunTables
from forensics.truth.base import Truth
from forensics.types import OperatingPoint


def evaluate(
    run: RunTables,
    truth: Truth,
    *,
    operating_point: OperatingPoint | None = None,
    rules: Rules | None = None,
) -> Evaluation:
    """Evaluate both arms of `run` against `truth`, by default at the thresholds of the scan."""
    return evaluate_prepared(prepare(run, truth, rules), operating_point)


def evaluate_prepared(prepared: Prepared, point: OperatingPoint | None = None) -> Evaluation:
    """As `evaluate`, for a run that is joined to its truth already."""
    point = point or run_operating_point(prepared.run)
    check_operating_point(prepared.run, point)
    detector = count_arm(prepared, point, DETECTOR)
    cascade = None if point.classifier is None else count_arm(prepared, point, CASCADE)
    alone = sweep(prepared, None) if cascade else None
    return Evaluation(
        operating_point=point,
        denominators=denominators(prepared),
        arms={
            DETECTOR: ArmFigures(prepared, detector).to_json(),
            CASCADE: ArmFigures(prepared, cascade).to_json() if cascade else None,
        },
        removal=removal(detector, cascade) if cascade else None,
        matched_recall=matched_recall(prepared, cascade, alone) if cascade else None,
        matched_false_alarms=matched_false_alarms(prepared, cascade, alone) if cascade else None,
        envelope=envelope(prepared, point, alone=alone) if cascade else None,
        other_views={
            DETECTOR: other_views(prepared, detector),
            CASCADE: other_views(prepared, cascade) if cascade else None,
        },
        calibration=trust(prepared),
        strata=strata_rows(prepared, point, detector, cascade),
        planted=planted(prepared),
        cameras=camera_table(prepared, detector, cascade),
        rules=prepared.rules.to_json(),
        notes=scope_notes(prepared, point, cascade),
    )


def other_views(prepared: Prepared, arm: ArmCounts) -> dict[str, Any]:
    """An arm by the strict rules of ActEV, and its precision where targets are rarer."""
    timed = bool(prepared.ledger.timed_frames.sum())
    return {
        "strict_actev": strict_arm(prepared, arm).to_json() if timed else None,
        "frame_precision_at_prevalence": precision_elsewhere(prepared, arm),
    }


def strata_rows(
    prepared: Prepared, point: OperatingPoint, detector: ArmCounts, cascade: ArmCounts | None
) -> tuple[dict[str, Any], ...]:
    """The strata of both arms as plain rows, each with its `method`; undefined is None."""
    counted = {DETECTOR: detector} | ({CASCADE: cascade} if cascade else {})
    table = strata(prepared, point, counted).astype(object)
    rows: list[dict[str, Any]] = table.where(table.notna(), None).to_dict("records")
    how, none = method(prepared.rules.confidence), "undefined: nothing to count"
    return tuple(row | {"method": how if row["total"] else none} for row in rows)


def denominators(prepared: Prepared) -> dict[str, Any]:
    """What the figures are shares of."""
    ledger, log = prepared.ledger, prepared.log
    processed = ledger.processed > 0
    return {
        "frames_footage": int(ledger.footage.sum()),
        "frames_processed": int(ledger.processed.sum()),
        "frames_evaluated": int(ledger.evaluated.sum()),
        "frames_positive": int(ledger.positive.sum()),
        "frames_negative": int(ledger.negative.sum()),
        "hours_negative": float(ledger.hours_negative.sum()) if ledger.timed_frames.sum() else None,
        "media": int(processed.sum()),
        "cameras": len(np.unique(log.camera[processed])),
        "frames_unlabelled": int(ledger.unlabelled.sum()),
        "frames_undecodable": int(ledger.undecodable.sum()),
        "frames_ignored": int(ledger.ignored.sum()),
        "frames_box_level": int(ledger.box_frames.sum()),
        "cameras_evaluated": len(np.unique(log.camera[ledger.evaluated > 0])),
    }


def planted(prepared: Prepared) -> dict[str, int]:
    """How much of the truth was put into the footage by a computer."""
    log, labels, incidents = prepared.log, prepared.labels, prepared.incidents
    frames = labels.planted & log.ok
    return {
        "boxes": int((labels.boxes.planted & (labels.boxes.kind == TARGET)).sum()),
        "decoy_boxes": int((labels.boxes.planted & (labels.boxes.kind == DECOY)).sum()),
        "frames": int(frames.sum()),
        "incidents": int(incidents.planted.sum()),
        "media": len(np.unique(log.frame_media[frames])),
    }


def camera_table(
    prepared: Prepared, detector: ArmCounts, cascade: ArmCounts | None
) -> tuple[dict[str, Any], ...]:
    """Counts by camera, for every camera with evaluated frames."""
    ledger = prepared.ledger
    columns: dict[str, Any] = {
        "frames_positive": ledger.positive,
        "frames_negative": ledger.negative,
        "hours_negative": ledger.hours_negative,
        "incidents": detector.event.incidents,
    }
    for name, arm in ((DETECTOR, detector), (CASCADE, cascade)):
        if arm is not None:
            columns[f"{name}_frame_tp"] = arm.frame.tp
            columns[f"{name}_frame_fp"] = arm.frame.fp
            columns[f"{name}_detected"] = arm.event.detected
            columns[f"{name}_false_alerts"] = arm.event.false_alerts
    sums = {name: per_camera(prepared, counts) for name, counts in columns.items()}
    rows = []
    for number in np.flatnonzero(per_camera(prepared, ledger.evaluated)).tolist():
        row: dict[str, Any] = {"camera": prepared.log.camera_names[number]}
        for name, values in sums.items():
            value = float(values[number])
            row[name] = value if name == "hours_negative" else round(value)
        rows.append(row)
    return tuple(rows)
