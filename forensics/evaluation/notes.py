"""What an evaluation cannot say, in plain words."""

from __future__ import annotations

import numpy as np

from forensics.evaluation.align import POSITIVE
from forensics.evaluation.levels import ArmCounts
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rates import FEW_CAMERAS
from forensics.types import OperatingPoint

MAX_NAMED = 5


def scope_notes(
    prepared: Prepared, point: OperatingPoint, cascade: ArmCounts | None
) -> tuple[str, ...]:
    """Notes on truth, footage and sample, the weightiest first."""
    notes = [
        *_planted(prepared),
        *_positives(prepared),
        *_unlabelled(prepared),
        *_footage(prepared),
        *_sample(prepared),
        *_arms(prepared, point, cascade),
        *prepared.labels.notes,
    ]
    return tuple(notes)


def _planted(prepared: Prepared) -> list[str]:
    frames = int((prepared.labels.planted & prepared.log.ok).sum())
    total = int(prepared.ledger.positive.sum())
    if not frames:
        return []
    return [
        f"planted: in {frames} of {total} positive frames the target was put into the footage by "
        "a computer; recall on them is not recall on real events"
    ]


def _positives(prepared: Prepared) -> list[str]:
    ledger, labels = prepared.ledger, prepared.labels
    notes = []
    if not ledger.positive.sum():
        notes.append("the truth has no positive frames here: recall of frames is not defined")
    if not ledger.negative.sum():
        notes.append(
            "the truth has no negative frames here: the rate of false alarm frames is not defined"
        )
    unboxed = int(((labels.frame == POSITIVE) & prepared.log.ok & ~labels.has_boxes).sum())
    if unboxed:
        notes.append(
            f"{unboxed} positive frames are known by time span only: they count at frame and event "
            "level, not at box level"
        )
    if int((prepared.pairs.n_gt > 0).sum()):
        notes.append(
            "frame and event level ask whether any box fired, not whether it lay on the target: "
            "see the localised recall"
        )
    unseen = int((~prepared.incidents.seen).sum())
    if unseen:
        notes.append(
            f"{unseen} incidents have no processed frame (sampling, a static scene or unread "
            "footage); they count as missed"
        )
    return notes


def _unlabelled(prepared: Prepared) -> list[str]:
    notes = []
    ledger = prepared.ledger
    if prepared.rules.unlabelled == "negative":
        notes.append("frames without a label were taken as negative, as asked (--unlabelled)")
    elif ledger.unlabelled.sum():
        notes.append(
            f"{int(ledger.unlabelled.sum())} of {int(ledger.processed.sum())} processed frames "
            "have no label: they are in no figure, and alerts on them are unverified"
        )
    if ledger.ignored.sum():
        notes.append(f"{int(ledger.ignored.sum())} frames are ignored, as the truth says")
    return notes


def _footage(prepared: Prepared) -> list[str]:
    ledger = prepared.ledger
    notes = []
    if ledger.undecodable.sum():
        notes.append(f"{int(ledger.undecodable.sum())} frames could not be decoded or processed")
    if ledger.coverage_unknown:
        notes.append(
            f"{ledger.coverage_unknown} unread spans have an unknown number of frames: the count "
            "of footage frames is a lower bound"
        )
    if ledger.files_lost:
        shown = ", ".join(ledger.files_lost[:MAX_NAMED])
        more = ", ..." if len(ledger.files_lost) > MAX_NAMED else ""
        notes.append(f"{len(ledger.files_lost)} files were not scanned: {shown}{more}")
    if ledger.suspect.sum():
        notes.append(
            f"{int(ledger.suspect.sum())} evaluated frames come from damaged footage (suspect); "
            "they are counted"
        )
    clockless = int((prepared.log.ok & np.isnan(prepared.log.time_s)).sum())
    if clockless:
        notes.append(f"{clockless} frames have no clock and take no part at event level")
    return notes


def _sample(prepared: Prepared) -> list[str]:
    log, ledger = prepared.log, prepared.ledger
    cameras = len(np.unique(log.camera[ledger.evaluated > 0]))
    if cameras >= FEW_CAMERAS or not cameras:
        return []
    return [
        f"only {cameras} camera{'s' if cameras > 1 else ''}: the intervals say little about other "
        "cameras; see the figures by camera"
    ]


def _arms(prepared: Prepared, point: OperatingPoint, cascade: ArmCounts | None) -> list[str]:
    if cascade is None:
        return ["no classifier threshold: only the detector is judged"]
    notes = []
    if cascade.missing_score:
        notes.append(
            f"{cascade.missing_score} boxes at or above the detector threshold have no classifier "
            "score; the cascade counts them as rejected"
        )
    limit = prepared.run.manifest.get("max_detections")
    if limit:
        per_frame = np.diff(prepared.log.det_start)
        full = int((per_frame >= int(limit)).sum())
        if full:
            notes.append(f"{full} frames hold the greatest number of boxes kept ({limit})")
    return notes
