"""A synthetic but realistic run folder of any size, with truth, written part by part.

Cameras differ as real ones do (gamma, CV 1) in how often they raise false alarms; most detections
lie just above the floor; false ones come in bursts at places that look like the target. Half of
the videos hold an incident, whose frames have labelled boxes; a span says that the rest of every
video shows none. Parts are as long as a scan's, 60 s, and are written by the run log's own writer.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from forensics.runlog import schemas
from forensics.runlog.ledger import Ledger
from forensics.runlog.manifest import write_manifest
from forensics.runlog.writer import SegmentKey, commit_segment, write_json, write_table
from forensics.types import CoverageState

FPS, SEGMENT_FRAMES, VIDEOS_PER_CAMERA = 25, 1500, 10
TIME_BASE = 90_000
CLASSES = ("gun", "phone", "tool", "other")
FLOOR, POINT = 0.05, (0.25, 0.5)
SIZE = (1280, 720)
CONFIG = "0" * 64


@dataclass(frozen=True, slots=True)
class Size:
    """How large the log is: about `detections`, over `videos` of `frames` frames each."""

    videos: int
    frames: int
    detections: int

    @classmethod
    def of(cls, detections: int) -> Size:
        """The proportions of 10 million detections over 9 million frames in 600 videos."""
        videos = max(2, round(600 * detections / 10_000_000))
        return cls(videos, round(0.9 * detections / videos), detections)


@dataclass(slots=True)
class _Video:
    number: int
    media_id: str
    path: str
    camera: str
    quiet: float
    incident: tuple[int, int] | None
    track: Any


def make_log(folder: Path, size: Size, seed: int = 4) -> tuple[Path, list[Path]]:
    """Write RUN and its truth below `folder`; return both. What is there already is kept."""
    run, truth = folder / "run", [folder / "none.csv", folder / "boxes.coco.json"]
    if (run / "timings.json").exists():
        return run, truth
    rng = np.random.default_rng(seed)
    cameras = max(2, size.videos // VIDEOS_PER_CAMERA)
    factors = rng.gamma(1.0, 1.0, cameras) + 0.02
    videos = [_video(rng, n, size, n % cameras, factors) for n in range(size.videos)]
    for kind in ("frames", "detections"):
        (run / kind).mkdir(parents=True, exist_ok=True)
    with closing(Ledger(run, CONFIG)) as ledger:
        for video in videos:
            for start in range(0, size.frames, SEGMENT_FRAMES):
                _write_segment(run, ledger, video, start, size, rng)
    _write_rest(run, videos, size)
    _write_truth(truth, videos, size)
    write_json({"elapsed_s": 0.0}, run / "timings.json")
    return run, truth


def _video(rng: Any, number: int, size: Size, camera: int, factors: Any) -> _Video:
    media_id = hashlib.sha256(f"video {number}".encode()).hexdigest()
    incident = None
    if rng.random() < 0.5:
        length = min(int(rng.integers(4 * FPS, 20 * FPS)), size.frames // 3)
        begin = int(rng.integers(0, size.frames - length))
        incident = (begin, begin + length)
    x, y = rng.uniform(100, 1000), rng.uniform(100, 500)
    width, height = rng.uniform(8, 60), rng.uniform(8, 60)
    track = np.array([x, y, x + width, y + height])
    path = f"cam{camera:03d}/clip{number:04d}.mp4"
    return _Video(number, media_id, path, f"cam{camera:03d}", factors[camera], incident, track)


def truth_boxes(video: _Video) -> tuple[Any, Any]:
    """Frames of the incident and their boxes, which drift: int64 (n,), float64 (n, 4)."""
    begin, end = video.incident or (0, 0)
    frames = np.arange(begin, end)
    drift = np.round((frames - begin) * 0.25, 2)
    return frames, np.round(video.track + np.stack([drift, drift * 0, drift, drift * 0], 1), 2)


def _write_segment(
    run: Path, ledger: Ledger, video: _Video, start: int, size: Size, rng: Any
) -> None:
    stop = min(start + SEGMENT_FRAMES, size.frames)
    frame, xyxy, score, target = _detections(video, start, stop, size, rng)
    order = np.lexsort((-score, frame))
    frame, xyxy, score, target = frame[order], xyxy[order], score[order], target[order]
    counts = np.bincount(frame - start, minlength=stop - start)
    frames = np.arange(start, stop)
    span = {
        "media_id": video.media_id, "path": video.path, "segment": start // SEGMENT_FRAMES,
        "state": str(CoverageState.SCANNED), "start_frame": start, "stop_frame": stop,
        "start_time_s": start / FPS, "stop_time_s": (stop - 1) / FPS, "n_frames": stop - start,
        "reason": None,
    }  # fmt: skip
    commit_segment(
        run,
        ledger,
        SegmentKey(video.media_id, start // SEGMENT_FRAMES, video.media_id),
        frames=_frame_table(video, frames, counts),
        detections=_detection_table(video, frame, counts, xyxy, score, target),
        coverage=[span],
    )


def _detections(video: _Video, start: int, stop: int, size: Size, rng: Any) -> Any:
    """Frame, box, detector score and target score of every detection of a segment."""
    share = size.detections / (size.videos * size.frames)
    n = rng.poisson(share * (stop - start))
    frame = rng.integers(start, stop, n)
    loud = rng.random(n) < min(0.5, 0.05 * video.quiet)
    burst = start + rng.integers(0, stop - start, 6)
    near = burst[rng.integers(0, 6, n)] + rng.integers(0, 50, n)
    frame = np.where(loud, np.minimum(near, stop - 1), frame)
    score = np.where(loud, rng.beta(2, 3, n), rng.beta(0.7, 14, n))
    target = np.where(loud, rng.beta(0.5, 2, n), rng.beta(0.3, 5, n))
    corner = rng.uniform(0, 600, (n, 2))
    xyxy = np.concatenate([corner, corner + rng.uniform(8, 80, (n, 2))], axis=1)
    gt_frame, gt = truth_boxes(video)
    seen = (gt_frame >= start) & (gt_frame < stop) & (rng.random(len(gt_frame)) < 0.8)
    m = int(seen.sum())
    return (
        np.concatenate([frame, gt_frame[seen]]),
        np.concatenate([xyxy, gt[seen] + rng.normal(0, 2, (m, 4))]),
        (FLOOR + (1 - FLOOR) * np.concatenate([score, rng.beta(3, 2, m)])).astype(np.float32),
        np.concatenate([target, rng.beta(4, 1, m)]).astype(np.float32),
    )


def _frame_table(video: _Video, frames: Any, counts: Any) -> pa.Table:
    n = len(frames)
    columns = {
        "media_id": [video.media_id] * n,
        "frame_index": frames,
        "pts": frames * (TIME_BASE // FPS),
        "time_s": frames / FPS,
        "keyframe": frames % 50 == 0,
        "suspect": np.zeros(n, np.bool_),
        "status": ["ok"] * n,
        "n_detections": counts.astype(np.int32),
        "n_classified": counts.astype(np.int32),
    }
    return pa.table(columns, schema=schemas.FRAMES)


def _detection_table(
    video: _Video, frame: Any, counts: Any, xyxy: Any, score: Any, target: Any
) -> pa.Table:
    n = len(frame)
    first = np.cumsum(counts) - counts
    rest = (1 - target)[:, None] / 3
    probabilities = np.concatenate([target[:, None], rest, rest, rest], 1).astype(np.float32)
    best = probabilities.argmax(axis=1)
    offsets = np.arange(n + 1, dtype=np.int32) * len(CLASSES)
    columns = {
        "media_id": [video.media_id] * n,
        "frame_index": frame,
        "pts": frame * (TIME_BASE // FPS),
        "time_s": frame / FPS,
        "detection_index": (np.arange(n) - np.repeat(first, counts)).astype(np.int32),
        **{name: xyxy[:, k].astype(np.float32) for k, name in enumerate(
            ("x_min", "y_min", "x_max", "y_max"))},
        "detector_class": ["gun"] * n,
        "detector_score": score,
        "classified": np.ones(n, np.bool_),
        "classifier_class": np.array(CLASSES, object)[best],
        "classifier_score": probabilities[np.arange(n), best],
        "target_score": target,
        "probabilities": pa.ListArray.from_arrays(offsets, probabilities.ravel()),
        "suspect": np.zeros(n, np.bool_),
        "decided_by": ["classifier"] * n,
    }  # fmt: skip
    return pa.table(columns, schema=schemas.detections_schema(CLASSES))


def _write_rest(run: Path, videos: list[_Video], size: Size) -> None:
    """The tables and the manifest that a scan writes when it stops."""
    media, coverage = [], []
    for video in videos:
        media.append(
            dict.fromkeys(schemas.MEDIA.names)
            | {
                "media_id": video.media_id,
                "path": video.path,
                "camera_id": video.camera,
                "kind": "video",
                "size_bytes": 1,
                "width": SIZE[0],
                "height": SIZE[1],
                "time_base": f"1/{TIME_BASE}",
                "frame_rate_header": float(FPS),
                "frames_decoded": size.frames,
                "frames_suspect": 0,
                "duration_s": size.frames / FPS,
                "start_time_s": 0.0,
                "vfr": False,
                "status": "ok",
            }  # fmt: skip
        )
    with closing(Ledger(run)) as ledger:
        for segment in ledger.segments():
            coverage += segment.coverage
    write_table(pa.Table.from_pylist(media, schema=schemas.MEDIA), run / "media.parquet")
    write_table(pa.Table.from_pylist(coverage, schema=schemas.COVERAGE), run / "coverage.parquet")
    write_manifest(run, _manifest(run))


def _manifest(run: Path) -> dict[str, Any]:
    return {
        "schema": schemas.SCHEMA_VERSION, "id": "synthetic", "product": "forensics bench",
        "status": "complete", "argv": [], "base": str(run.parent / "footage"),
        "started_utc": "2024-02-29T00:00:00Z", "ended_utc": "2024-02-29T00:00:00Z",
        "config_hash": CONFIG, "backend": "none", "max_detections": 100,
        "thresholds": {
            "floor": FLOOR, "gate": FLOOR, "detector": POINT[0], "classifier": POINT[1],
        },
        "cascade": {
            "name": "synthetic", "version": "1", "target_classes": ["gun"],
            "detector_classes": ["gun"], "classifier_classes": list(CLASSES),
        },
        "events": {"gap_s": 5.0, "confirm_hits": 1, "confirm_frames": 1},
        "models": [], "engines": [], "versions": {},
    }  # fmt: skip


def _write_truth(truth: list[Path], videos: list[_Video], size: Size) -> None:
    lines = ["file,start_s,end_s,class"]
    lines += [f"{video.path},0,{size.frames / FPS},none" for video in videos]
    truth[0].write_text("\n".join(lines) + "\n")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for video in videos:
        for frame, box in zip(*(part.tolist() for part in truth_boxes(video)), strict=True):
            identity = len(images) + 1
            images.append({"id": identity, "video_id": video.number, "frame_index": frame})
            x0, y0, x1, y1 = box
            bbox = [x0, y0, x1 - x0, y1 - y0]
            annotations.append(
                {"id": identity, "image_id": identity, "category_id": 1, "bbox": bbox}
            )
    told = {
        "videos": [{"id": video.number, "file_name": video.path} for video in videos],
        "categories": [{"id": 1, "name": "gun"}],
        "images": images,
        "annotations": annotations,
    }
    truth[1].write_text(json.dumps(told))
