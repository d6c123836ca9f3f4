"""The parity gate: may a faster kind of model files stand in for the FP32 reference?

Both scan the same footage; everything below is read from the two run folders.

Decisions are frames: a frame's margin at an operating point (d, c) is the greatest, over its
boxes, of min(logit(detector score) - logit(d), logit(target score) - logit(c)); it alarms when
that is 0 or more. A decision is near the operating point when either run's margin is within
`band` logits of 0. The share of flips is the frames on which one run alarms and the other does
not, over the near ones.

Recall at equal false alarms: with F the false alarms of the reference at the operating point, both
sides take, for every number of false alarms from F / 2 to 2 F, the lowest detector threshold that
raises no more; the loss is the mean difference of what they find, as a share of the targets. At F
alone the difference of two such staircases jumps by several targets from one F to the next. Boxes
where truth has any, else frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forensics.boxes import iou_matrix
from forensics.cascade.definition import CascadeDefinition
from forensics.errors import TrainingError
from forensics.evaluation.curves import Sweep, at_least, sweep, threshold_within
from forensics.evaluation.events import NO_SCORE
from forensics.evaluation.log import Floats, Log, Scores
from forensics.evaluation.prepare import Prepared, prepare
from forensics.evaluation.rules import Rules
from forensics.footage.find import common_base, find_inputs
from forensics.runlog.reader import RunTables, open_run
from forensics.scan.local import Progress, scan
from forensics.scan.settings import ScanSettings
from forensics.truth.base import Truth
from forensics.types import OperatingPoint

SAME_BOX_IOU = 0.5
TINY = 1e-6
QUANTILES = (0.5, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_flips`: share of near decisions; `max_recall_loss`: of 1; `band`: logits.

    `min_found`: targets that the reference must find, for with fewer recall says nothing.
    """

    max_flips: float = 0.1
    max_recall_loss: float = 0.01
    band: float = 2.0
    min_found: int = 20


@dataclass(frozen=True, slots=True)
class Parity:
    """What one precision did against the reference, and what of it is over a limit."""

    precision: str
    facts: dict[str, Any]
    failures: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "precision": self.precision,
            "passed": not self.failures,
            "failures": list(self.failures),
            **self.facts,
        }


def scan_both(
    cascade: CascadeDefinition,
    precision: str,
    footage: Sequence[Path],
    work: Path,
    backend: tuple[str, str],
    progress: Progress,
) -> tuple[RunTables, RunTables]:
    """Scan `footage` with the reference and with `precision` into folders below `work`."""
    inputs = find_inputs(footage, recursive=True)
    runs = []
    for kind in ("fp32", precision):
        settings = ScanSettings(
            cascade=cascade,
            backend=backend[0],
            backend_why=backend[1],
            floor=cascade.detector.floor,
            gate=cascade.detector.floor,
            imgsz=cascade.detector.imgsz,
            max_detections=cascade.detector.max_detections,
            precision=kind,
        )
        result = scan(inputs, common_base(footage), work / kind, settings, progress=progress)
        if result.interrupted:
            raise KeyboardInterrupt
        runs.append(open_run(work / kind))
    return runs[0], runs[1]


def check_parity(
    reference: RunTables,
    other: RunTables,
    truth: Truth,
    point: OperatingPoint,
    limits: Limits | None = None,
    rules: Rules | None = None,
) -> Parity:
    """Compare two runs over the same footage. Raises TrainingError where that says nothing."""
    limits = limits or Limits()
    a, b = prepare(reference, truth, rules), prepare(other, truth, rules)
    _check_same_frames(a.log, b.log)
    flips = _flips(a.log, b.log, point, limits.band)
    recall = _recall(a, b, point)
    facts = {
        "backend": other.manifest["backend"],
        "operating_point": asdict(point),
        "limits": asdict(limits),
        "decisions": flips,
        "recall": recall,
        "drift": _drift(a.log, b.log),
    }
    return Parity(str(other.manifest["precision"]), facts, tuple(_failures(flips, recall, limits)))


def _failures(flips: dict[str, Any], recall: dict[str, Any], limits: Limits) -> list[str]:
    found = []
    if flips["share"] > limits.max_flips:
        found.append(
            f"{flips['flipped']} of {flips['near']} decisions near the operating point flip "
            f"({flips['share']:.1%}, allowed {limits.max_flips:.1%})"
        )
    if recall["found_reference"] < limits.min_found:
        found.append(
            f"the reference finds {recall['found_reference']} of {recall['positives']} "
            f"{recall['level']}, fewer than the {limits.min_found} from which recall can be "
            "compared: validate on more footage with targets"
        )
    if recall["loss"] > limits.max_recall_loss:
        found.append(
            f"recall at equal false alarms falls from {recall['mean_found_reference']:.1f} to "
            f"{recall['mean_found']:.1f} of {recall['positives']} {recall['level']} "
            f"({100 * recall['loss']:.1f} points, allowed {100 * limits.max_recall_loss:.1f})"
        )
    return found


def _check_same_frames(a: Log, b: Log) -> None:
    same = a.media_id == b.media_id and np.array_equal(a.frame_media, b.frame_media)
    if not same or not np.array_equal(a.frame_index, b.frame_index):
        raise TrainingError("the two runs hold different frames; give both the same footage")
    if not np.array_equal(a.ok, b.ok):
        raise TrainingError("the two runs could not read the same frames; check the footage")


def _logit(values: Any) -> Floats:
    inside = np.clip(np.asarray(values, np.float64), TINY, 1 - TINY)
    return np.asarray(np.log(inside / (1 - inside)))


def margins(log: Log, point: OperatingPoint) -> Floats:
    """Margin of each detection in logits, float64 (D,): it alarms at 0 or more."""
    # Compared as float32, as everywhere, so that the sign cannot differ from the alarm.
    margin = _logit(log.score) - _logit(np.float32(point.detector))
    if point.classifier is not None:
        second = _logit(np.nan_to_num(log.target, nan=0.0)) - _logit(np.float32(point.classifier))
        margin = np.minimum(margin, second)
    return margin


def _flips(a: Log, b: Log, point: OperatingPoint, band: float) -> dict[str, Any]:
    sides = [_frame_margins(log, point) for log in (a, b)]
    near = (np.abs(sides[0]) <= band) | (np.abs(sides[1]) <= band)
    alarms = [side >= 0 for side in sides]
    flipped = alarms[0] != alarms[1]
    n_near, n_flipped = int((near & a.ok).sum()), int((flipped & a.ok).sum())
    return {
        "frames": int(a.ok.sum()),
        "near": n_near,
        "flipped": n_flipped,
        "raised": int((flipped & alarms[1] & a.ok).sum()),
        "share": n_flipped / max(1, n_near),
    }


def _frame_margins(log: Log, point: OperatingPoint) -> Floats:
    best = np.full(len(log.frame_index), -np.inf)
    np.maximum.at(best, log.det_frame, margins(log, point))
    return best


def _recall(a: Prepared, b: Prepared, point: OperatingPoint) -> dict[str, Any]:
    floor = float(a.run.manifest["thresholds"]["floor"])
    swept = [sweep(side, point.classifier) for side in (a, b)]
    level, positives = ("boxes", swept[0].n_gt)
    if not positives:
        level, positives = ("frames", swept[0].n_positive)
    if not positives:
        raise TrainingError(
            "the validation truth has no target, so recall cannot be compared; give --truth that "
            "labels some"
        )
    true, false = ([_scores(s, level, kind) for s in swept] for kind in ("tp", "fp"))
    at = np.array([point.detector], np.float32)
    budget = int(at_least(false[0], at)[0])

    def found_within(budgets: Sequence[int], side: int) -> tuple[list[float], Any]:
        thresholds = [threshold_within(floor, false[side], n) for n in budgets]
        return thresholds, at_least(true[side], np.array(thresholds, np.float32))

    pairs = [found_within([budget], side) for side in (0, 1)]
    thresholds, found = [t[0] for t, _ in pairs], [int(n[0]) for _, n in pairs]
    budgets = range(-(-budget // 2), 2 * budget + 1)
    means = [float(found_within(budgets, side)[1].mean()) for side in (0, 1)]
    return {
        "level": level,
        "positives": positives,
        "false_alarms": budget,
        "threshold_reference": thresholds[0],
        "threshold": thresholds[1],
        "found_reference": found[0],
        "found": found[1],
        "budgets": [budgets[0], budgets[-1]],
        "mean_found_reference": means[0],
        "mean_found": means[1],
        "loss": (means[0] - means[1]) / positives,
        "found_at_operating_point": [int(at_least(scores, at)[0]) for scores in true],
        "false_at_operating_point": [int(at_least(scores, at)[0]) for scores in false],
    }


def _scores(swept: Sweep, level: str, kind: str) -> Scores:
    name = f"{'box' if level == 'boxes' else 'frame'}_{kind}"
    scores: Scores = getattr(swept, name)
    return scores[scores > NO_SCORE]


def _drift(a: Log, b: Log) -> dict[str, Any]:
    """How far boxes of the two runs that overlap by half lie apart, and how many have no match."""
    shift, detector, target = [], [], []
    matched = 0
    both = np.flatnonzero((np.diff(a.det_start) > 0) & (np.diff(b.det_start) > 0))
    for frame in both.tolist():
        one = np.arange(a.det_start[frame], a.det_start[frame + 1])
        two = np.arange(b.det_start[frame], b.det_start[frame + 1])
        overlap = iou_matrix(a.boxes(one), b.boxes(two))
        best = overlap.argmax(axis=1)
        fine = overlap.max(axis=1) >= SAME_BOX_IOU
        matched += int(fine.sum())
        shift.append(1 - overlap.max(axis=1)[fine])
        detector.append(np.abs(a.score[one[fine]] - b.score[two[best[fine]]]))
        target.append(np.abs(a.target[one[fine]] - b.target[two[best[fine]]]))
    return {
        "boxes_reference": len(a.score),
        "boxes": len(b.score),
        "matched": matched,
        "quantiles": list(QUANTILES),
        "one_minus_iou": _quantiles(shift),
        "detector_score": _quantiles(detector),
        "target_score": _quantiles(target),
    }


def _quantiles(parts: list[Any]) -> list[float] | None:
    values = np.concatenate(parts) if parts else np.empty(0)
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    return [round(float(q), 5) for q in np.quantile(values, QUANTILES)]
