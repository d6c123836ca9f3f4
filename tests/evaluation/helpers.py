"""Runs and truths built in memory, so that each test states its whole world."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from forensics.runlog import schemas
from forensics.runlog.reader import RunTables
from forensics.truth.base import MediaBuilder, Span, Truth

NAN = float("nan")


@dataclass
class Clip:
    """One file of footage: detections as {frame: [(xywh, score, target score), ...]}."""

    path: str
    n_frames: int = 10
    fps: float = 10.0
    camera: str | None = None
    detections: Mapping[int, Sequence[tuple[Sequence[float], float, float]]] = field(
        default_factory=dict
    )
    kind: str = "video"
    start_s: float = 0.0
    every: int = 1
    errors: Sequence[int] = ()
    media_id: str | None = None
    size: tuple[int, int] = (640, 480)
    times_s: Sequence[float | None] | None = None
    status: str = "ok"

    @property
    def identity(self) -> str:
        return self.media_id or f"id-{self.path}"

    def time_s(self, index: int) -> float | None:
        if self.kind == "still":
            return None
        if self.times_s is not None:
            return self.times_s[index]
        return self.start_s + index / self.fps


def make_run(
    *clips: Clip,
    thresholds: Mapping[str, float | None] | None = None,
    targets: Sequence[str] = ("gun",),
    classes: Sequence[str] = ("gun", "phone", "other"),
    coverage: Sequence[Mapping[str, Any]] = (),
    encode: bool = True,
) -> RunTables:
    """Lay clips out as the tables of a run."""
    media, frames, detections = [], [], []
    seen: set[str] = set()
    for clip in clips:
        media.append(_media_row(clip))
        if clip.identity in seen:
            continue
        seen.add(clip.identity)
        for index in range(0, clip.n_frames, clip.every):
            found = list(clip.detections.get(index, ()))
            frames.append(_frame_row(clip, index, found))
            detections += [
                _detection_row(clip, index, number, *detection)
                for number, detection in enumerate(found)
            ]
    manifest = {
        "thresholds": {"floor": 0.01, "gate": 0.01, "detector": 0.5, "classifier": 0.5}
        | dict(thresholds or {}),
        "cascade": {"target_classes": list(targets), "classifier_classes": list(classes)},
    }
    rows = [dict.fromkeys(schemas.COVERAGE.names) | dict(row) for row in coverage]
    return RunTables(
        folder=Path("memory"),
        manifest=manifest,
        media=pa.Table.from_pylist(media, schema=schemas.MEDIA),
        coverage=pa.Table.from_pylist(rows, schema=schemas.COVERAGE),
        frames=_encoded(pa.Table.from_pylist(frames, schema=schemas.FRAMES), encode),
        detections=_encoded(
            pa.Table.from_pylist(detections, schema=schemas.detections_schema(classes)), encode
        ),
    )


def _encoded(table: pa.Table, encode: bool) -> pa.Table:
    return (
        table.set_column(0, "media_id", table["media_id"].dictionary_encode()) if encode else table
    )


def _media_row(clip: Clip) -> dict[str, Any]:
    return dict.fromkeys(schemas.MEDIA.names) | {
        "media_id": clip.identity if clip.n_frames else None,
        "path": clip.path,
        "camera_id": clip.camera if clip.camera is not None else clip.path,
        "kind": clip.kind,
        "width": clip.size[0],
        "height": clip.size[1],
        "frames_decoded": clip.n_frames,
        "status": clip.status,
    }


def _frame_row(clip: Clip, index: int, found: Sequence[Any]) -> dict[str, Any]:
    time_s = clip.time_s(index)
    return {
        "media_id": clip.identity,
        "frame_index": index,
        "pts": None if time_s is None else round(time_s * 1000),
        "time_s": time_s,
        "keyframe": True,
        "suspect": False,
        "status": "error" if index in clip.errors else "ok",
        "n_detections": len(found),
        "n_classified": len(found),
    }


def _detection_row(
    clip: Clip, index: int, number: int, xywh: Sequence[float], score: float, target: float
) -> dict[str, Any]:
    x, y, width, height = xywh
    missing = np.isnan(target)
    return dict.fromkeys(schemas.DETECTIONS.names) | {
        "media_id": clip.identity,
        "frame_index": index,
        "time_s": clip.time_s(index),
        "detection_index": number,
        "x_min": x,
        "y_min": y,
        "x_max": x + width,
        "y_max": y + height,
        "detector_class": "gun",
        "detector_score": score,
        "classified": not missing,
        "classifier_class": None if missing else "gun",
        "classifier_score": None if missing else target,
        "target_score": None if missing else target,
        "suspect": False,
        "decided_by": "error" if missing else "classifier",
    }


def boxes_truth(
    path: str,
    frames: Mapping[int, Sequence[Sequence[float]]],
    *,
    crowd: Mapping[int, Sequence[Sequence[float]]] | None = None,
    decoys: Mapping[int, Sequence[Sequence[float]]] | None = None,
    ignored: Sequence[int] = (),
    label: str = "gun",
    planted: bool = False,
) -> Truth:
    """Box labels of one file: {frame: [xywh, ...]}; crowds are ignore regions, decoys phones."""
    builder = MediaBuilder(path, "test.json")
    for index in ignored:
        builder.add_frame(index, ignore=True)
    for kind, name, ignore in (
        (frames, label, False),
        (crowd, label, True),
        (decoys, "phone", False),
    ):
        for index, boxes in (kind or {}).items():
            builder.add_frame(index)
            for x, y, width, height in boxes:
                xyxy = (x, y, x + width, y + height)
                builder.add_box(index, xyxy, name, "test", ignore=ignore, planted=planted)
    names = (label, "phone") if decoys else (label,)
    return Truth(media=(builder.build(),), classes=names, declared=names, sources=("test.json",))


def spans_truth(*spans: tuple[str, float, float, str], planted: bool = False) -> Truth:
    """Span labels: (path, start_s, end_s, class)."""
    builders: dict[str, MediaBuilder] = {}
    for number, (path, start_s, end_s, label) in enumerate(spans):
        builder = builders.setdefault(path, MediaBuilder(path, "spans.csv"))
        builder.add_span(Span(start_s, end_s, label, planted, f"spans.csv:{number + 2}"))
    return Truth(
        media=tuple(builder.build() for builder in builders.values()),
        classes=tuple(dict.fromkeys(span[3] for span in spans)),
        sources=("spans.csv",),
    )


def random_frames(
    rng: np.random.Generator, n_frames: int, *, missing: float = 0.0
) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    """Detections, truth boxes and crowds that overlap in every way, with tied scores.

    Coordinates are multiples of 1/4, so that float32 and float64 agree on them.
    """
    detections: dict[int, Any] = {}
    truth: dict[int, Any] = {}
    crowds: dict[int, Any] = {}
    for index in range(n_frames):
        m = int(rng.choice([0, 1, 2, 3], p=[0.4, 0.2, 0.25, 0.15]))
        gt = np.c_[rng.uniform(0, 60, (m, 2)), rng.uniform(25, 45, (m, 2))]
        if m > 1 and rng.random() < 0.7:
            gt[1:] = gt[0] + rng.normal(0, 5, (m - 1, 4))
        gt = np.round(np.abs(gt) * 4) / 4 + np.array([0, 0, 0.25, 0.25])
        crowd = rng.random(m) < 0.2
        truth[index] = gt[~crowd].tolist()
        crowds[index] = gt[crowd].tolist()
        n = int(rng.integers(0, 8))
        found = np.c_[rng.uniform(0, 60, (n, 2)), rng.uniform(25, 45, (n, 2))]
        for number in range(n):
            if m and rng.random() < 0.75:
                found[number] = gt[rng.integers(m)] + rng.normal(0, 4, 4)
        found = np.round(np.abs(found) * 4) / 4 + np.array([0, 0, 0.25, 0.25])
        score = np.round(rng.uniform(0.05, 1, n), 2)
        target = np.round(rng.beta(0.7, 0.7, n), 2)
        target[rng.random(n) < missing] = NAN
        order = np.argsort(-score, kind="stable")
        detections[index] = [(found[k].tolist(), float(score[k]), float(target[k])) for k in order]
    return detections, truth, crowds


def strict_json(text: str) -> Any:
    """Parse JSON that holds no NaN and no infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(text, parse_constant=refuse)
