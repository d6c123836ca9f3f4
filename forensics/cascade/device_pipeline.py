"""Run frames through both networks where frames stay on a device after their decoding.

Full-size planes go there once; views, boxes and crops are made there, and only boxes, scores and
what the classifier says come back. Whole frames alone: tiles take the other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.cascade.classifier import Classifier
from forensics.cascade.detector import Detector
from forensics.cascade.device_engines import engine_on
from forensics.cascade.lanes import Lanes
from forensics.cascade.on_device import (
    Picture,
    boxes,
    crops,
    device_errors,
    letterbox,
    load_torch,
    picture_of,
)
from forensics.cascade.pipeline import FrameResult, Token, classify, run_ahead, unclassified
from forensics.tiling import WHOLE, View
from forensics.types import Detections, FloatArray, Frame


@dataclass(frozen=True, slots=True)
class _Look:
    """A batch in the detector's hands: its pictures, and what will be there once `done` comes.

    `raw` float32 (n, 4 + classes, anchors); `finite`, whether all of it is numbers.
    """

    pictures: list[Picture]
    views: list[View]
    raw: Any
    finite: Any
    done: Any


class DevicePipeline:
    """As `Pipeline`, of frames without views, on `device` (see `lanes`).

    Raises BackendError, also for what PyTorch raises.
    """

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier | None,
        *,
        device: str,
        imgsz: int,
        gate: float,
    ) -> None:
        self._detector, self._classifier = detector, classifier
        self._imgsz = imgsz
        self._gate = np.float32(gate)
        with device_errors():
            self._lanes = Lanes(device)
        self._look_at = engine_on(self._lanes, detector.engine)
        if classifier is not None:
            self._ask = engine_on(self._lanes, classifier.engine)

    def run(
        self, items: Iterable[tuple[Token, Sequence[Frame]]]
    ) -> Iterator[tuple[Token, list[FrameResult]]]:
        """See `Runs`."""
        return run_ahead(items, self._begin, self._finish)

    def _begin(self, frames: Sequence[Frame]) -> _Look | None:
        if not frames:
            return None
        torch = load_torch()
        views = [WHOLE.views(frame.width, frame.height, self._imgsz)[0] for frame in frames]
        with device_errors():
            data = self._lanes.bring([f.packed.data for f in frames if f.packed is not None])
            pictures = [picture_of(*pair) for pair in zip(frames, data, strict=True)]
            with self._lanes.looking():
                seen = zip(pictures, views, strict=True)
                images = torch.stack([letterbox(one, view.letterbox) for one, view in seen])
                raw = self._look_at.infer(images)
                finite = torch.isfinite(raw).all()
            done = self._lanes.looked([raw, finite])
        return _Look(pictures, views, raw, finite, done)

    def _finish(self, frames: Sequence[Frame], look: _Look | None) -> list[FrameResult]:
        if look is None:
            return []
        with device_errors(), self._lanes.finishing(look.done):
            detector = self._detector
            detector.check(tuple(look.raw.shape), finite=bool(look.finite))
            found = boxes(look.raw, look.views, detector.spec, detector.floor)
            if self._classifier is None:
                return [unclassified(f, d) for f, d in zip(frames, found, strict=True)]
            return self._classify(frames, found, look.pictures, self._classifier)

    def _classify(
        self,
        frames: Sequence[Frame],
        found: Sequence[Detections],
        pictures: Sequence[Picture],
        classifier: Classifier,
    ) -> list[FrameResult]:
        def cut(number: int, xyxy: FloatArray) -> Any:
            return crops(pictures[number], xyxy, classifier.spec)

        def ask(cut_out: Sequence[Any]) -> FloatArray:
            logits = self._ask.infer(load_torch().cat(cut_out))
            return classifier.of_logits(logits.cpu().numpy())

        return classify(frames, found, self._gate, classifier, cut=cut, ask=ask)
