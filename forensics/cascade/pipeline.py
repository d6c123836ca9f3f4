"""Run frames through both networks, `DEPTH` batches ahead: while the detector works on these, the
boxes and crops of the one before are finished."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from forensics.backends import parallel_calls
from forensics.cascade.classifier import Classifier
from forensics.cascade.crops import crops_of
from forensics.cascade.detector import Detector
from forensics.tiling import WHOLE, Tiling, View
from forensics.types import Detections, FloatArray, Frame, ImageArray

Token = TypeVar("Token")
Begun = TypeVar("Begun")
Crops = TypeVar("Crops")  # of one frame, (n, imgsz, imgsz, 3), where they were cut
Raw = list[FloatArray]  # the detector's output of each view
# Batches in the detector's hands at a time: one more than it works on, so that it never waits.
DEPTH = 2
NO_CLASSES: FloatArray = np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What both networks said of one frame. Rows of a box that was not classified are NaN.

    `classified`, `failed` bool (n,); `probabilities` float32 (n, classes); `target_score`
    float32 (n,).
    """

    index: int
    pts: int | None
    time_s: float | None
    keyframe: bool
    suspect: bool
    detections: Detections
    classified: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    probabilities: FloatArray
    target_score: FloatArray


class Runs(Protocol):
    """What a scan runs frames through."""

    def run(
        self, items: Iterable[tuple[Token, Sequence[Frame]]]
    ) -> Iterator[tuple[Token, list[FrameResult]]]:
        """Yield the results of each (token, frames) in order; frames may be empty.

        Frames must stay valid until their results are out.
        """


def run_ahead(
    items: Iterable[tuple[Token, Sequence[Frame]]],
    begin: Callable[[Sequence[Frame]], Begun],
    finish: Callable[[Sequence[Frame], Begun], list[FrameResult]],
) -> Iterator[tuple[Token, list[FrameResult]]]:
    """`Runs.run`, each batch begun `DEPTH` batches before it is finished."""
    waiting: deque[tuple[Token, Sequence[Frame], Begun]] = deque()

    def finished() -> tuple[Token, list[FrameResult]]:
        token, frames, begun = waiting.popleft()
        return token, finish(frames, begun)

    for token, frames in items:
        waiting.append((token, frames, begin(frames)))
        if len(waiting) > DEPTH:
            yield finished()
    while waiting:
        yield finished()


class Pipeline:
    """Both networks, on views that the decoding child made.

    `gate`: detector score from which the classifier is asked. `imgsz` and `tiling` must be those
    that made the frames' views.
    """

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier | None,
        *,
        imgsz: int,
        gate: float,
        tiling: Tiling = WHOLE,
    ) -> None:
        self._detector = detector
        self._classifier = classifier
        self._imgsz = imgsz
        self._tiling = tiling
        self._gate = np.float32(gate)

    def run(
        self, items: Iterable[tuple[Token, Sequence[Frame]]]
    ) -> Iterator[tuple[Token, list[FrameResult]]]:
        """See `Runs`."""
        workers = min(DEPTH, parallel_calls(self._detector.engine))
        with ThreadPoolExecutor(workers, thread_name_prefix="detector") as pool:

            def begin(frames: Sequence[Frame]) -> Future[Raw]:
                return pool.submit(self._detect, frames)

            yield from run_ahead(items, begin, self._finish)

    def _detect(self, frames: Sequence[Frame]) -> Raw:
        if not frames:
            return []
        views = [view for of_frame in self._views(frames) for view in of_frame]
        return self._detector.look(np.concatenate([frame.views for frame in frames]), views)

    def _views(self, frames: Sequence[Frame]) -> list[tuple[View, ...]]:
        return [self._tiling.views(f.width, f.height, self._imgsz) for f in frames]

    def _finish(self, frames: Sequence[Frame], raw: Future[Raw]) -> list[FrameResult]:
        looked = raw.result()
        if not frames:
            return []
        found = self._detector.boxes(looked, self._views(frames))
        if self._classifier is None:
            return [unclassified(f, d) for f, d in zip(frames, found, strict=True)]
        return self._classify(frames, found, self._classifier)

    def _classify(
        self, frames: Sequence[Frame], found: Sequence[Detections], classifier: Classifier
    ) -> list[FrameResult]:
        def cut(number: int, xyxy: FloatArray) -> ImageArray:
            return crops_of(frames[number], xyxy, classifier.spec)

        def ask(crops: Sequence[ImageArray]) -> FloatArray:
            return classifier.probabilities(np.concatenate(crops))

        return classify(frames, found, self._gate, classifier, cut=cut, ask=ask)


def classify(
    frames: Sequence[Frame],
    found: Sequence[Detections],
    gate: np.float32,
    classifier: Classifier,
    *,
    cut: Callable[[int, FloatArray], Crops],
    ask: Callable[[list[Crops]], FloatArray],
) -> list[FrameResult]:
    """Crops of all frames of the batch go through the classifier together.

    `cut` makes those of boxes (n, 4) of the frame of that number, `ask` gives the probabilities.
    """
    asked = [detections.score >= gate for detections in found]
    boxes = [detections.xyxy[chosen] for detections, chosen in zip(found, asked, strict=True)]
    # A frame without boxes costs nothing.
    crops = {n: _tried(cut, n, xyxy) for n, xyxy in enumerate(boxes) if len(xyxy)}
    good = [made for made in crops.values() if made is not None]
    answers = ask(good) if good else NO_CLASSES
    results, start = [], 0
    for number, (frame, detections, chosen) in enumerate(zip(frames, found, asked, strict=True)):
        bad = chosen & (crops.get(number) is None)
        classified = chosen & ~bad
        stop = start + int(classified.sum())
        mine = answers[start:stop]
        results.append(_merge(frame, detections, classified, bad, mine, classifier))
        start = stop
    return results


def _tried(cut: Callable[[int, FloatArray], Crops], number: int, xyxy: FloatArray) -> Crops | None:
    """The crops of one frame; None when they cannot be made."""
    try:
        return cut(number, xyxy)
    except (cv2.error, ValueError, MemoryError):
        return None  # logged as decided_by "error", so that it is counted


def unclassified(frame: Frame, detections: Detections) -> FrameResult:
    """The result of a frame whose boxes nobody classified."""
    nobody = np.zeros(len(detections), bool)
    empty = np.empty((len(detections), 0), np.float32)
    score = np.full(len(detections), np.nan, np.float32)
    return _result(frame, detections, nobody, nobody, empty, score)


def _merge(
    frame: Frame,
    detections: Detections,
    classified: NDArray[np.bool_],
    failed: NDArray[np.bool_],
    answers: FloatArray,
    classifier: Classifier,
) -> FrameResult:
    probabilities = np.full((len(detections), len(classifier.spec.classes)), np.nan, np.float32)
    score = np.full(len(detections), np.nan, np.float32)
    if classified.any():
        probabilities[classified] = answers
        score[classified] = classifier.target_score(answers)
    return _result(frame, detections, classified, failed, probabilities, score)


def _result(
    frame: Frame,
    detections: Detections,
    classified: NDArray[np.bool_],
    failed: NDArray[np.bool_],
    probabilities: FloatArray,
    target_score: FloatArray,
) -> FrameResult:
    return FrameResult(
        index=frame.index,
        pts=frame.pts,
        time_s=frame.time_s,
        keyframe=frame.keyframe,
        suspect=frame.suspect,
        detections=detections,
        classified=classified,
        failed=failed,
        probabilities=probabilities,
        target_score=target_score,
    )
