"""Turn results into rows and commit them segment by segment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from forensics.cascade.pipeline import FrameResult
from forensics.runlog import schemas
from forensics.runlog.ledger import Ledger
from forensics.runlog.writer import SegmentKey, commit_segment
from forensics.scan.events import SegmentDone
from forensics.types import DecidedBy, StaticFrame


class Recorder:
    """Collects the rows of the segment in progress; `commit` makes them durable."""

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        *,
        detector_classes: Sequence[str],
        classifier_classes: Sequence[str],
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        self._detector_classes = np.asarray(detector_classes, object)
        self._classifier_classes = np.asarray(classifier_classes, object)
        self._schema = schemas.detections_schema(classifier_classes)
        self._results: list[tuple[str, int, FrameResult]] = []
        self._static: list[tuple[str, StaticFrame]] = []
        pa.array([], pa.int64())  # pyarrow's first array imports pandas: now, not at a commit

    def add(
        self, results: Sequence[FrameResult], media_ids: Sequence[str | None], *, stills: bool
    ) -> None:
        """Add frames in order. A still is frame 0 of its own medium."""
        for result in results:
            media_id = media_ids[result.index if stills else 0]
            assert media_id is not None
            self._results.append((media_id, 0 if stills else result.index, result))

    def add_static(self, frames: Sequence[StaticFrame], media_id: str | None) -> None:
        """Add frames of a video that were passed over."""
        assert media_id is not None or not frames
        self._static += [(str(media_id), frame) for frame in frames]

    def drop(self) -> None:
        """Forget the segment in progress: it will be decoded again."""
        self._results.clear()
        self._static.clear()

    def commit(self, done: SegmentDone) -> None:
        """Write the segment in progress. Raises RunLogError when that fails."""
        commit_segment(
            self._folder,
            self._ledger,
            SegmentKey(done.source_id, done.segment, done.first_media_id),
            frames=self._frames(),
            detections=self._detections(),
            coverage=done.coverage,
            files=done.files,
        )
        self.drop()

    def _frames(self) -> pa.Table:
        rows = self._results
        columns: dict[str, Any] = {
            "media_id": [media_id for media_id, _, _ in rows],
            "frame_index": [index for _, index, _ in rows],
            "pts": [r.pts for _, _, r in rows],
            "time_s": [r.time_s for _, _, r in rows],
            "keyframe": [r.keyframe for _, _, r in rows],
            "suspect": [r.suspect for _, _, r in rows],
            "status": ["error" if r.failed.any() else "ok" for _, _, r in rows],
            "n_detections": [len(r.detections) for _, _, r in rows],
            "n_classified": [int(r.classified.sum()) for _, _, r in rows],
        }
        table = pa.table(columns, schema=schemas.FRAMES)
        if not self._static:  # stills have none, so the index alone orders what follows
            return table
        return pa.concat_tables([table, self._static_rows()]).sort_by("frame_index")

    def _static_rows(self) -> pa.Table:
        """Rows of frames passed over. Counts are null: nobody looked."""
        frames = [frame for _, frame in self._static]
        n = len(frames)
        columns: dict[str, Any] = {
            "media_id": [media_id for media_id, _ in self._static],
            "frame_index": [f.index for f in frames],
            "pts": [f.pts for f in frames],
            "time_s": [f.time_s for f in frames],
            "keyframe": [f.keyframe for f in frames],
            "suspect": [False] * n,
            "status": [schemas.STATIC_FRAME] * n,
            "n_detections": [None] * n,
            "n_classified": [None] * n,
        }
        return pa.table(columns, schema=schemas.FRAMES)

    def _detections(self) -> pa.Table:
        rows = [row for row in self._results if len(row[2].detections)]
        if not rows:
            return self._schema.empty_table()
        counts = [len(r.detections) for _, _, r in rows]
        frames = [r for _, _, r in rows]
        xyxy = np.concatenate([r.detections.xyxy for r in frames])
        classified = np.concatenate([r.classified for r in frames])
        failed = np.concatenate([r.failed for r in frames])
        class_id = np.concatenate([r.detections.class_id for r in frames])
        target_score = np.concatenate([r.target_score for r in frames])
        probabilities = np.concatenate([r.probabilities for r in frames])
        columns: dict[str, Any] = {
            "media_id": np.repeat(np.asarray([m for m, _, _ in rows], object), counts),
            "frame_index": np.repeat([i for _, i, _ in rows], counts),
            "pts": _repeat_nullable([r.pts for r in frames], counts),
            "time_s": _repeat_nullable([r.time_s for r in frames], counts),
            "detection_index": np.concatenate([np.arange(n) for n in counts]),
            "x_min": xyxy[:, 0],
            "y_min": xyxy[:, 1],
            "x_max": xyxy[:, 2],
            "y_max": xyxy[:, 3],
            "detector_class": self._detector_classes[class_id],
            "detector_score": np.concatenate([r.detections.score for r in frames]),
            "classified": classified,
            "target_score": pa.array(target_score, mask=~classified),
            "suspect": np.repeat([r.suspect for r in frames], counts),
            "decided_by": _decided_by(classified, failed, with_classifier=self._classifier_classes),
            **self._classifier_columns(probabilities, classified),
        }
        arrays = [_array(columns[field.name], field.type) for field in self._schema]
        return pa.Table.from_arrays(arrays, schema=self._schema)

    def _classifier_columns(
        self, probabilities: np.ndarray[Any, Any], classified: np.ndarray[Any, Any]
    ) -> dict[str, Any]:
        n = len(classified)
        if not len(self._classifier_classes):
            return {
                "classifier_class": pa.nulls(n, pa.string()),
                "classifier_score": pa.nulls(n, pa.float32()),
                "probabilities": pa.nulls(n, pa.list_(pa.float32())),
            }
        best = np.where(classified[:, None], probabilities, 0).argmax(axis=1)
        score = probabilities[np.arange(n), best]
        rows = zip(probabilities, classified, strict=True)
        lists = [row if known else None for row, known in rows]
        return {
            "classifier_class": pa.array(
                self._classifier_classes[best], pa.string(), mask=~classified
            ),
            "classifier_score": pa.array(score, pa.float32(), mask=~classified),
            "probabilities": pa.array(lists, pa.list_(pa.float32())),
        }


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.cast(kind)
    return pa.array(values, kind)


def _repeat_nullable(values: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    return [value for value, n in zip(values, counts, strict=True) for _ in range(n)]


def _decided_by(
    classified: np.ndarray[Any, Any], failed: np.ndarray[Any, Any], *, with_classifier: Any
) -> list[str]:
    if not len(with_classifier):
        return [str(DecidedBy.DETECTOR)] * len(classified)
    names = np.where(classified, str(DecidedBy.CLASSIFIER), str(DecidedBy.GATE))
    return list(np.where(failed, str(DecidedBy.ERROR), names))
