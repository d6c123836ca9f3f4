"""What the static-scene gate saves and what it loses, on labelled footage.

The footage is scanned once, whole. The gate decides on pictures alone, and frames that it lets
through are scanned alike with it and without, so its log follows from the whole one: the footage
is decoded again for each rule, and the rows of frames that are passed over are taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forensics.bench.measure import Clock, run_folder
from forensics.bench.processes import Say
from forensics.evaluation.evaluate import evaluate
from forensics.footage.find import common_base, find_inputs
from forensics.footage.protocol import DecodeRequest, Sampling, StaticRule
from forensics.footage.reader import FrameReader
from forensics.runlog.reader import RunTables, open_run
from forensics.scan.local import scan
from forensics.scan.settings import ScanSettings
from forensics.truth.base import Truth
from forensics.types import Frame, StaticFrame

RULES = (StaticRule(threshold=2.0), StaticRule(), StaticRule(threshold=8.0))
VIEW_IMGSZ = 32
Keys = set[tuple[str, int]]


def measure_skipping(
    paths: Sequence[Path],
    truth: Truth,
    settings: ScanSettings,
    say: Say,
    rules: Sequence[StaticRule] = RULES,
) -> list[dict[str, Any]]:
    """One row without the gate, one for each rule: frames skipped, alarms and incidents lost."""
    inputs = find_inputs(paths, recursive=False)
    with run_folder() as folder:
        scan(inputs, common_base(paths), folder, settings, progress=Clock())
        stored = open_run(folder)  # its folder goes, so that its tables are read now
        run = replace(
            stored, frames=stored.frames.read(), detections=stored.detections.read()
        )
    clips = {row["media_id"]: row["path"] for row in run.media.to_pylist() if row["media_id"]}
    base = common_base(paths)
    whole = _figures(run, truth)
    rows = [{"threshold": None, "refresh_s": None, "skipped": 0, **whole}]
    for rule in rules:
        passed: Keys = set()
        for media_id, path in clips.items():
            numbers = static_frames(base / path, rule, settings.segment_s)
            passed |= {(media_id, number) for number in numbers}
        figures = _figures(without(run, passed), truth)
        rows.append(
            {
                "threshold": rule.threshold,
                "refresh_s": rule.refresh_s,
                "skipped": len(passed),
                **figures,
                "frames": whole["frames"],
            }
        )
        say(f"gate at {rule.threshold:g} grey levels: {len(passed)} of {whole['frames']} skipped")
    return rows


def static_frames(path: Path, rule: StaticRule, segment_s: float) -> list[int]:
    """The frames of a video that the gate passes over, cut into segments as a scan does."""
    request = DecodeRequest(
        paths=(str(path),),
        stills=False,
        imgsz=VIEW_IMGSZ,
        max_pixels=50_000_000,
        segment_s=segment_s,
        sampling=Sampling(static=rule),
        full=False,
    )
    found = []
    with FrameReader(request, slots=4) as reader:
        for event in reader.events():
            if isinstance(event, StaticFrame):
                found.append(event.index)
            elif isinstance(event, Frame):
                reader.release(event)
    return found


def without(run: RunTables, passed: Keys) -> RunTables:
    """The run as it would be, had these (media id, frame) been passed over."""

    def kept(table: pa.Table) -> pa.Table:
        names = table["media_id"].cast(pa.string()).to_pylist()
        keys = zip(names, table["frame_index"].to_pylist(), strict=True)
        return table.filter(pa.array([key not in passed for key in keys], pa.bool_()))

    return replace(run, frames=kept(run.frames), detections=kept(run.detections))


def _figures(run: RunTables, truth: Truth) -> dict[str, Any]:
    judged = evaluate(run, truth).to_json()
    found: dict[str, Any] = {"frames": run.frames.num_rows}
    for arm, figures in judged["arms"].items():
        if figures is None:
            continue
        event = figures["event"]
        found[arm] = {
            "alarm_frames": alarm_frames(run, cascade=arm == "cascade"),
            "incidents": event["incidents"],
            "detected": event["detected"],
            "false_alerts": event["false_alerts"],
        }
    return found


def alarm_frames(run: RunTables, *, cascade: bool) -> int:
    """Frames with an alarm at the run's operating point."""
    point, rows = run.operating_point, run.detections
    fired = pc.greater_equal(rows["detector_score"], pa.scalar(np.float32(point.detector)))
    if cascade and point.classifier is not None:
        score = pc.fill_null(rows["target_score"], -1.0)
        limit = pa.scalar(np.float32(point.classifier))
        fired = pc.and_(fired, pc.greater_equal(score, limit))
    chosen = rows.filter(fired)
    keys = zip(
        chosen["media_id"].cast(pa.string()).to_pylist(),
        chosen["frame_index"].to_pylist(),
        strict=True,
    )
    return len(set(keys))
