"""One run's two arms, or two runs' cascades, judged together over the same footage and truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forensics.errors import ForensicsError
from forensics.evaluation.common import CommonFootage, common_footage
from forensics.evaluation.compare import Comparison, Side, compare
from forensics.evaluation.evaluate import evaluate_prepared
from forensics.evaluation.levels import CASCADE, DETECTOR
from forensics.evaluation.matched import matched
from forensics.evaluation.prepare import Prepared, prepare
from forensics.evaluation.result import Evaluation
from forensics.evaluation.rules import Rules, run_operating_point, run_rules
from forensics.runlog.reader import RunTables
from forensics.truth.base import Truth
from forensics.types import OperatingPoint

SCHEMA = 1
_ROW = ("path", "camera_id", "frame_index", "time_s", "alarmed_by", "outcome", "media_id")


@dataclass(frozen=True, slots=True, eq=False)
class SideBySide:
    """Everything that `forensics compare` says.

    `runs` describes each run by its letter; `evaluations` has its figures on the compared footage;
    `comparison` and `matched` set the second side against the first; `media` counts the files
    compared, `left_out` lists the others.
    """

    runs: Mapping[str, Mapping[str, Any]]
    media: int
    left_out: tuple[dict[str, str], ...]
    evaluations: Mapping[str, Evaluation]
    comparison: Comparison
    matched: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def disagreements(self) -> pd.DataFrame:
        """One row per evaluated frame on which only one side alarms."""
        return self.comparison.disagreements[list(_ROW)]

    def to_json(self) -> dict[str, Any]:
        """Plain values, the disagreements complete; undefined is null."""
        rows = self.disagreements.to_dict("records")
        for row in rows:
            row["time_s"] = float(row["time_s"]) if np.isfinite(row["time_s"]) else None
        return {
            "schema": SCHEMA,
            "runs": {name: dict(run) for name, run in self.runs.items()},
            "footage": {"media_compared": self.media, "left_out": list(self.left_out)},
            "evaluations": {name: found.to_json() for name, found in self.evaluations.items()},
            "comparison": self.comparison.to_json(),
            "matched": dict(self.matched),
            "disagreements": rows,
            "notes": list(self.notes),
        }


def compare_arms(
    run: RunTables, truth: Truth, rules: Rules | None = None, point: OperatingPoint | None = None
) -> SideBySide:
    """The detector alone (first) against the cascade (second) in one run."""
    return compare_arms_prepared(prepare(run, truth, rules), point)


def compare_arms_prepared(
    prepared: Prepared, point: OperatingPoint | None = None, level: str | None = None
) -> SideBySide:
    """As `compare_arms`, for a run joined to its truth already; `level` as in `matched`."""
    run = prepared.run
    point = point or run_operating_point(run)
    if point.classifier is None:
        raise ForensicsError(
            "the run has no classifier, so there is nothing to set the detector against; "
            "give a second run"
        )
    a, b = Side(DETECTOR, prepared, point, DETECTOR), Side(CASCADE, prepared, point, CASCADE)
    return SideBySide(
        runs={"A": _describe(run)},
        media=len(prepared.log.media_id),
        left_out=(),
        evaluations={"A": evaluate_prepared(prepared, point)},
        comparison=compare(a, b),
        matched=matched(a, b, level),
        notes=(),
    )


def compare_runs(
    first: RunTables,
    second: RunTables,
    truth: Truth,
    rules: Rules | None = None,
    point: OperatingPoint | None = None,
    level: str | None = None,
) -> SideBySide:
    """Run A against run B over the footage that both scanned, by default at their own thresholds.

    Files are matched by content; cameras are those of run A, and so are the rules. `level` as in
    `matched`.
    """
    rules = rules or run_rules(first)
    common = common_footage(first, second)
    prepared = [prepare(run, truth, rules) for run in (common.a, common.b)]
    points = [point or run_operating_point(run) for run in (first, second)]
    a, b = (
        Side(name, one, at, DETECTOR if at.classifier is None else CASCADE)
        for name, one, at in zip("AB", prepared, points, strict=True)
    )
    return SideBySide(
        runs={"A": _describe(first), "B": _describe(second)},
        media=common.media,
        left_out=common.left_out,
        evaluations={side.name: evaluate_prepared(side.prepared, side.point) for side in (a, b)},
        comparison=compare(a, b),
        matched=matched(a, b, level),
        notes=tuple(_notes(first, second, common, prepared)),
    )


def _describe(run: RunTables) -> dict[str, Any]:
    manifest = run.manifest
    cascade = manifest["cascade"]
    return {
        "folder": run.folder.name,
        "id": manifest.get("id"),
        "status": manifest.get("status"),
        "cascade": {key: cascade.get(key) for key in ("name", "version", "sha256", "chosen")},
        "models": [
            {"stage": model["stage"], "sha256": model["sha256"]}
            for model in manifest.get("models", ())
        ],
        "backend": manifest.get("backend"),
        "precision": manifest.get("precision"),
        "arithmetic": manifest.get("arithmetic"),
        "imgsz": manifest.get("imgsz"),
        "tiling": manifest.get("tiling"),
        "thresholds": dict(manifest["thresholds"]),
    }


def _notes(
    first: RunTables, second: RunTables, common: CommonFootage, prepared: list[Prepared]
) -> list[str]:
    notes = []
    for name, run in (("A", first), ("B", second)):
        if run.manifest.get("status", "complete") != "complete":
            notes.append(f"run {name} is {run.manifest['status']}: its scan did not finish")
    if common.left_out:
        notes.append(f"{len(common.left_out)} files take no part: see the list")
    if run_rules(first) != run_rules(second):
        notes.append("the cascades have different event rules; both sides are judged by A's")
    cameras = [
        {m: p.log.camera_names[c] for m, c in zip(p.log.media_id, p.log.camera, strict=True)}
        for p in prepared
    ]
    if cameras[0] != cameras[1]:
        notes.append("the runs name cameras differently; the cameras are those of A")
    return notes
