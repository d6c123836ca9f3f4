"""What run.json says of a run that was made from other tools' detections."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forensics
from forensics.errors import TruthError
from forensics.footage.find import hash_file
from forensics.runlog.manifest import config_hash, utc_now
from forensics.runlog.schemas import SCHEMA_VERSION
from forensics.scan.settings import DEFAULT_SEGMENT_S, library_versions
from forensics.truth.predictions import Predictions

DEFAULT_THRESHOLD = 0.25
MAX_LISTED = 100
MISSING = ("error", "empty")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the files of detections cannot say.

    `targets` are the classes looked for; `floor` the score below which the tool kept nothing
    (None: the lowest score there is); `threshold` from which a box is an alarm; `missing` frames
    without a word count as "empty", or are an "error".
    """

    targets: tuple[str, ...]
    floor: float | None = None
    threshold: float | None = None
    missing: str = "error"


def describe_import(
    predictions: Predictions, options: ImportOptions, base: Path, argv: Sequence[str]
) -> dict[str, Any]:
    """run.json, but for how the import ended."""
    floor, threshold = _thresholds(predictions, options)
    targets = _targets(predictions, options)
    classes = list(dict.fromkeys((*predictions.labels, *targets)))
    files = [{"path": str(path.absolute()), "sha256": _hash(path)} for path in predictions.files]
    digest = hashlib.sha256("\n".join(file["sha256"] for file in files).encode()).hexdigest()
    settings = {
        "schema": SCHEMA_VERSION,
        "product": forensics.__version__,
        "predictions": digest,
        "targets": list(targets),
        "missing": options.missing,
        "floor": floor,
        "threshold": threshold,
    }
    key = config_hash(settings)
    listed = [{"stage": "detections", **file} for file in files[:MAX_LISTED]]
    return {
        "schema": SCHEMA_VERSION,
        "id": key[:16],
        "product": f"forensics {forensics.__version__}",
        "argv": list(argv),
        "base": str(base),
        "config_hash": key,
        "cascade": {
            "name": "imported detections",
            "version": "",
            "sha256": digest,
            "target_classes": list(targets),
            "detector_classes": classes,
            "classifier_classes": [],
            "chosen": "not chosen: thresholds were given with the import",
        },
        "models": listed,
        "engines": [],
        "backend": "imported",
        "backend_why": f"detections of another tool, from {len(files)} files",
        "precision": "not known",
        "thresholds": {"floor": floor, "gate": floor, "detector": threshold, "classifier": None},
        "events": {},
        "sampling": {"frame_step": 1, "time_step_s": None},
        "imgsz": None,
        "tiling": None,
        "max_detections": None,
        "segment_s": DEFAULT_SEGMENT_S,
        "imported": {"files": len(files), "sha256": digest, "missing": options.missing},
        "versions": {
            **library_versions(),
            "python": platform.python_version(),
            "platform": platform.platform(),
        },
        "started_utc": utc_now(),
        "ended_utc": None,
        "status": "partial",
    }


def _thresholds(predictions: Predictions, options: ImportOptions) -> tuple[float, float]:
    """Floor and operating threshold; nothing may lie below the floor."""
    lowest = min(predictions.scores, default=None)
    threshold = options.threshold
    floor = options.floor
    if floor is None:
        asked = DEFAULT_THRESHOLD if threshold is None else threshold
        floor = min(DEFAULT_THRESHOLD, asked) if lowest is None else lowest
    if lowest is not None and lowest < floor:
        raise TruthError(
            f"a box has the score {lowest:g}, below the floor {floor:g}; lower --floor"
        )
    threshold = max(DEFAULT_THRESHOLD, floor) if threshold is None else threshold
    if threshold < floor:
        raise TruthError(
            f"the threshold {threshold:g} lies below the floor {floor:g}, and what is below that "
            "is not known; raise --detector-threshold"
        )
    return floor, threshold


def _targets(predictions: Predictions, options: ImportOptions) -> tuple[str, ...]:
    labels = predictions.labels
    if options.targets:
        known = dict.fromkeys((*labels, *predictions.declared))
        unknown = [name for name in options.targets if name not in known]
        if known and unknown:
            raise TruthError(
                f"no box is of the target class {', '.join(unknown)}; there are "
                f"{', '.join(known)[:200]}. A class that was never found is known from --names or "
                "--listing"
            )
        return options.targets
    if len(labels) != 1:
        raise TruthError(
            f"the detections have {len(labels)} classes ({', '.join(labels)[:200]}); say which are "
            "looked for with --target"
        )
    return labels


def _hash(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        raise TruthError(f"{path}: cannot be read: {error.strerror}; check it") from error
