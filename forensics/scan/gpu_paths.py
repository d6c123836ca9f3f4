"""The two ways of frames to the networks, side by side: views made by the decoding child, and
frames that stay on a device. On the same decoded frames, which lie in memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from forensics.boxes import iou_matrix
from forensics.cascade.decide import decide
from forensics.cascade.pipeline import FrameResult, Runs
from forensics.cascade.place import Place
from forensics.errors import BackendError
from forensics.footage.find import find_inputs
from forensics.footage.protocol import DecodeRequest, Sampling
from forensics.footage.reader import Drain, FrameReader
from forensics.scan.settings import ScanSettings, open_cascade
from forensics.tiling import WHOLE
from forensics.types import Detections, Frame, OperatingPoint

FRAMES = 32
STEP = 5  # frames: neighbours show the same
NEAR_PX = 0.5
SURE = 0.25  # detector score from which boxes are compared: below, near-ties change places


@dataclass(frozen=True, slots=True)
class Apart:
    """How far two results of the same frames lie apart.

    `compared` boxes of either that score at least `SURE`, `unmatched` of them without an
    overlapping one in the other. Differences: of a box's side in pixels of the detector's input,
    and the share of boxes of at most `NEAR_PX`; of detector scores; of target scores of those.
    """

    frames: int
    compared: int
    unmatched: int
    share_near: float
    greatest_px: float
    greatest_score: float
    greatest_target_score: float
    alarm_frames: int
    frames_that_alarm_in_one_only: int


def compare_ways(
    footage: Sequence[Path], settings: ScanSettings, rounds: int, *, frames: int = FRAMES
) -> dict[str, Any]:
    """Both ways over frames of the first video, in memory: what they say, and frames a second.

    `settings` are those of frames on a device; the other way's are the same but for that. Its
    views are ready as well, so that its time is without their making.
    """
    if not settings.frames_on.on_device:
        raise BackendError(f"frames are on the {settings.frames_on}")
    ways = {str(one.frames_on): one for one in (replace(settings, place=Place()), settings)}
    pipelines = {name: open_cascade(one).pipeline for name, one in ways.items()}
    with FrameReader(_request(footage, settings), slots=frames + 1) as reader:
        held = _held(reader, frames)
        batches = [held[n : n + settings.batch] for n in range(0, len(held), settings.batch)]
        one, other = (_run(pipeline, batches) for pipeline in pipelines.values())
        times: dict[str, list[float]] = {name: [] for name in pipelines}
        for _ in range(rounds):  # interleaved, so that a drift meets both alike
            for name, pipeline in pipelines.items():
                started = time.perf_counter()
                _run(pipeline, batches)
                times[name].append(time.perf_counter() - started)
        apart = compare_results(one, other, held, settings)
    speed = {name: len(held) / statistics.median(spent) for name, spent in times.items() if spent}
    return {**asdict(apart), "frames_per_s": speed}


def compare_results(
    one: Sequence[FrameResult],
    other: Sequence[FrameResult],
    frames: Sequence[Frame],
    settings: ScanSettings,
) -> Apart:
    """Results of the same frames, in order."""
    point = settings.cascade.operating_point
    alarms = [{n for n, r in enumerate(of) if _alarms(r, point)} for of in (one, other)]
    apart: list[tuple[float, float, float]] = []
    compared = 0
    for a, b, frame in zip(one, other, frames, strict=True):
        (view,) = WHOLE.views(frame.width, frame.height, settings.imgsz)
        for first, second in ((a, b), (b, a)):
            sure = np.flatnonzero(first.detections.score >= SURE)
            compared += len(sure)
            for row in sure.tolist():
                match = _overlapping(first.detections, row, second.detections)
                if match is not None:
                    pixels, score, target = _gaps(first, row, second, match)
                    apart.append((pixels * view.letterbox.gain, score, target))
    table = np.array([*apart, (0, 0, 0)], np.float64)
    near = table[:, 0] <= NEAR_PX
    return Apart(
        frames=len(one),
        compared=compared,
        unmatched=compared - len(apart),
        share_near=float(near[: len(apart) or 1].mean()),
        greatest_px=float(table[:, 0].max()),
        greatest_score=float(table[:, 1].max()),
        greatest_target_score=float(table[near, 2].max()),
        alarm_frames=len(alarms[0]),
        frames_that_alarm_in_one_only=len(alarms[0] ^ alarms[1]),
    )


def _gaps(
    one: FrameResult, row: int, other: FrameResult, match: int
) -> tuple[float, float, float]:
    """Of a side in the frame's pixels, of the detector's score, of the target score."""
    sides = np.abs(one.detections.xyxy[row] - other.detections.xyxy[match]).max()
    scores = _gap(one.detections.score[row], other.detections.score[match])
    return float(sides), scores, _gap(one.target_score[row], other.target_score[match])


def _overlapping(boxes: Detections, row: int, others: Detections) -> int | None:
    """The best box of `others` of the same class that overlaps by half or more.

    Not the nearest: of two boxes of one thing whose scores nearly tie, NMS may keep either, and
    lets stand beside it what the other would have removed.
    """
    if not len(others):
        return None
    overlap = iou_matrix(boxes.xyxy[[row]], others.xyxy)[0]
    same = (overlap >= 0.5) & (others.class_id == boxes.class_id[row])
    return int(same.argmax()) if same.any() else None  # best first


def _gap(one: np.float32, other: np.float32) -> float:
    """Of two scores; not classified = nothing to compare."""
    gap = abs(float(one) - float(other))
    return 0.0 if np.isnan(gap) else gap


def _alarms(result: FrameResult, point: OperatingPoint) -> bool:
    return bool(decide(result.detections.score, result.target_score, point).any())


def _run(pipeline: Runs, batches: Sequence[Sequence[Frame]]) -> list[FrameResult]:
    return [result for _, of in pipeline.run(enumerate(batches)) for result in of]


def _request(footage: Sequence[Path], settings: ScanSettings) -> DecodeRequest:
    videos = [file for file in find_inputs(footage, recursive=True) if not file.is_still]
    if not videos:
        raise BackendError("no video was given with --footage")
    return DecodeRequest(
        paths=(str(videos[0].path),),
        stills=False,
        imgsz=settings.imgsz,
        max_pixels=settings.max_pixels,
        segment_s=settings.segment_s,
        sampling=Sampling(frame_step=STEP),
    )


def _held(reader: FrameReader, most: int) -> list[Frame]:
    """The first frames, as many as the ring can hold beside the one that comes next."""
    held: list[Frame] = []
    for event in reader.events():
        if isinstance(event, Frame):
            held.append(event)
        if isinstance(event, Drain) or len(held) >= min(most, reader.slots - 1):
            break
    if not held:
        raise BackendError("no frame of the first video could be decoded")
    return held
