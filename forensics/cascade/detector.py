"""First stage: a YOLO network on the letterboxed frame; boxes back in source pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forensics.backends import Engine
from forensics.boxes import Letterbox, nms
from forensics.cascade.definition import DetectorSpec
from forensics.errors import BackendError, CascadeError
from forensics.types import Detections, FloatArray, ImageArray

# Greedy NMS is prefix-stable in the score, so this cap cannot change a box above it.
MAX_CANDIDATES = 2000


class Detector:
    """Runs the detector engine on views and turns its output into boxes."""

    def __init__(self, engine: Engine, spec: DetectorSpec, floor: float) -> None:
        self.engine = engine
        self._spec = spec
        self._floor = np.float32(floor)
        self._columns = [spec.classes.index(name) for name in spec.candidates]

    def infer(self, views: ImageArray) -> FloatArray:
        """uint8 (n, imgsz, imgsz, 3) -> raw output float32 (n, 4 + classes, anchors)."""
        raw = self.engine.infer(views)
        wanted = 4 + len(self._spec.classes)
        if raw.ndim != 3 or raw.shape[1] != wanted:
            raise CascadeError(
                f"detector output has shape {raw.shape}, not (n, {wanted}, anchors): the class "
                "count in cascade.toml does not fit the model"
            )
        if not np.isfinite(raw).all():  # such a score would pass for "nothing found"
            raise BackendError("the detector gave values that are not numbers; use another model")
        return raw

    def boxes(self, raw: FloatArray, letterboxes: Sequence[Letterbox]) -> list[Detections]:
        """Raw output -> detections of each frame in source pixels, best first."""
        return [self._boxes(one, box) for one, box in zip(raw, letterboxes, strict=True)]

    def _boxes(self, raw: FloatArray, letterbox: Letterbox) -> Detections:
        scores = raw[4:][self._columns]
        best = scores.max(axis=0)
        chosen = np.flatnonzero(best >= self._floor)
        if len(chosen) > MAX_CANDIDATES:
            chosen = chosen[np.argsort(-best[chosen], kind="stable")[:MAX_CANDIDATES]]
        class_id = np.asarray(self._columns, np.int32)[scores[:, chosen].argmax(axis=0)]
        centre, size = raw[0:2, chosen].T, raw[2:4, chosen].T
        xyxy = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        score = best[chosen]
        kept = nms(
            xyxy, score, class_id, iou=self._spec.nms_iou, limit=self._spec.max_detections
        )
        return Detections(letterbox.to_source(xyxy[kept]), score[kept], class_id[kept])
