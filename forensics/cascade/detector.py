"""First stage: a YOLO network on the letterboxed views; boxes back in source pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forensics.backends import Engine, infer_above, is_resizable
from forensics.boxes import nms
from forensics.cascade.definition import DetectorSpec
from forensics.errors import BackendError, CascadeError
from forensics.tiling import View, merge
from forensics.types import Detections, FloatArray, ImageArray

# Greedy NMS is prefix-stable in the score, so this cap cannot change a box above it.
MAX_CANDIDATES = 2000


class Detector:
    """Runs the detector engine on views and turns its output into boxes."""

    def __init__(self, engine: Engine, spec: DetectorSpec, floor: float) -> None:
        self.engine = engine
        self.spec = spec
        self.floor = np.float32(floor)
        self._columns = [spec.classes.index(name) for name in spec.candidates]

    def infer(self, views: ImageArray) -> FloatArray:
        """uint8 (n, imgsz, imgsz, 3) -> raw output float32 (n, 4 + classes, anchors).

        Boxes below the floor may be 0.
        """
        raw = infer_above(self.engine, views, float(self.floor))
        self.check(raw.shape, finite=bool(np.isfinite(raw).all()))
        return raw

    def check(self, shape: tuple[int, ...], *, finite: bool) -> None:
        """Raise CascadeError or BackendError where raw output is none of this cascade's."""
        wanted = 4 + len(self.spec.classes)
        if len(shape) != 3 or shape[1] != wanted:
            raise CascadeError(
                f"detector output has shape {shape}, not (n, {wanted}, anchors): the class "
                "count in cascade.toml does not fit the model"
            )
        if not finite:  # such a score would pass for "nothing found"
            raise BackendError("the detector gave values that are not numbers; use another model")

    def look(self, images: ImageArray, views: Sequence[View]) -> list[FloatArray]:
        """As `infer`, of the band of each input that holds picture: float32 (5 or more, anchors).

        The grey above and below a wide picture would be two fifths of the work. Boxes are in the
        pixels of the whole input, as `infer` gives them; scores differ from its in the hundredths,
        since near the edge of the picture the network sees less grey. An engine with one shape
        takes the whole.
        """
        whole = (0, 0, *images.shape[2:0:-1])
        part = is_resizable(self.engine)
        bands = [view.letterbox.band if part else whole for view in views]
        found: dict[int, FloatArray] = {}
        for band in sorted(set(bands)):
            left, top, right, bottom = band
            mine = [n for n, other in enumerate(bands) if other == band]
            chosen = images if len(mine) == len(bands) else images[mine]
            raw = self.infer(chosen[:, top:bottom, left:right])
            raw[:, :2] += np.array([[left], [top]], np.float32)
            found |= dict(zip(mine, raw, strict=True))
        return [found[n] for n in range(len(bands))]

    def boxes(
        self, raw: Sequence[FloatArray], frames: Sequence[Sequence[View]]
    ) -> list[Detections]:
        """Raw outputs of the views of `frames`, in their order -> detections of each frame.

        Boxes are in source pixels, best first.
        """
        views = [view for of_frame in frames for view in of_frame]
        found = iter([self._boxes(one, view) for one, view in zip(raw, views, strict=True)])
        return [self._merged([next(found) for _ in of_frame], of_frame) for of_frame in frames]

    def _merged(self, found: Sequence[Detections], views: Sequence[View]) -> Detections:
        if len(found) == 1:  # there is no other view to compare with
            return found[0]
        xyxy = np.concatenate([one.xyxy for one in found])
        score = np.concatenate([one.score for one in found])
        class_id = np.concatenate([one.class_id for one in found])
        kept = merge(
            xyxy,
            score,
            class_id,
            np.repeat(np.arange(len(found)), [len(one) for one in found]),
            views,
            iou=self.spec.nms_iou,
            limit=self.spec.max_detections,
        )
        return Detections(xyxy[kept], score[kept], class_id[kept])

    def _boxes(self, raw: FloatArray, view: View) -> Detections:
        scores = raw[4:][self._columns]
        best = scores.max(axis=0)
        chosen = np.flatnonzero(best >= self.floor)
        if len(chosen) > MAX_CANDIDATES:
            chosen = chosen[np.argsort(-best[chosen], kind="stable")[:MAX_CANDIDATES]]
        class_id = np.asarray(self._columns, np.int32)[scores[:, chosen].argmax(axis=0)]
        centre, size = raw[0:2, chosen].T, raw[2:4, chosen].T
        xyxy = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        score = best[chosen]
        kept = nms(
            xyxy, score, class_id, iou=self.spec.nms_iou, limit=self.spec.max_detections
        )
        return Detections(view.to_source(xyxy[kept]), score[kept], class_id[kept])
