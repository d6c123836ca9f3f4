"""Column schemas of a run folder, version 1. Coordinates are source pixels, half-open; times are s.

Empty means "looked and found nothing"; null means "did not look". Frame indices are 0-based in
presentation order. `time_s` is pts x time base, including the container's start offset.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa

SCHEMA_VERSION = 1
CLASSES_KEY = b"forensics.classifier_classes"
STATIC_FRAME = "static"  # a value of frames.status

MEDIA = pa.schema(
    [
        ("media_id", pa.string()),  # SHA-256 of the content; null when it could not be read
        ("path", pa.string()),  # relative, forward slashes; invalid bytes as \\xNN
        ("path_bytes", pa.binary()),  # the exact bytes, only where `path` has escapes
        ("camera_id", pa.string()),
        ("kind", pa.string()),  # video | still
        ("size_bytes", pa.int64()),
        ("container", pa.string()),
        ("codec", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("rotation", pa.int32()),  # degrees, already applied to all coordinates
        ("interlaced", pa.bool_()),
        ("time_base", pa.string()),  # "num/den"
        ("frame_rate_header", pa.float64()),
        ("frames_header", pa.int64()),
        ("frames_decoded", pa.int64()),
        ("frames_suspect", pa.int64()),
        ("duration_s", pa.float64()),
        ("start_time_s", pa.float64()),
        ("vfr", pa.bool_()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)

COVERAGE = pa.schema(
    [
        ("media_id", pa.string()),
        ("path", pa.string()),
        ("segment", pa.int32()),
        ("state", pa.string()),  # scanned | sampled_out | static | undecodable | not_reached
        ("start_frame", pa.int64()),
        ("stop_frame", pa.int64()),  # exclusive; null = not known
        ("start_time_s", pa.float64()),
        ("stop_time_s", pa.float64()),
        ("n_frames", pa.int64()),  # frames of this state within the span; null = not known
        ("reason", pa.string()),
    ]
)

FRAMES = pa.schema(
    [
        ("media_id", pa.string()),
        ("frame_index", pa.int64()),
        ("pts", pa.int64()),
        ("time_s", pa.float64()),
        ("keyframe", pa.bool_()),
        ("suspect", pa.bool_()),
        ("status", pa.string()),  # ok | error | static: planned, and passed over as unchanged
        ("n_detections", pa.int32()),  # null where static
        ("n_classified", pa.int32()),
    ]
)

DETECTIONS = pa.schema(
    [
        ("media_id", pa.string()),
        ("frame_index", pa.int64()),
        ("pts", pa.int64()),
        ("time_s", pa.float64()),
        ("detection_index", pa.int32()),  # within the frame, by descending detector score
        ("x_min", pa.float32()),
        ("y_min", pa.float32()),
        ("x_max", pa.float32()),
        ("y_max", pa.float32()),
        ("detector_class", pa.string()),
        ("detector_score", pa.float32()),
        ("classified", pa.bool_()),
        ("classifier_class", pa.string()),
        ("classifier_score", pa.float32()),
        ("target_score", pa.float32()),  # summed probability of the target classes
        ("probabilities", pa.list_(pa.float32())),
        ("suspect", pa.bool_()),
        ("decided_by", pa.string()),  # detector | classifier | gate | error
    ]
)


def detections_schema(classifier_classes: Sequence[str]) -> pa.Schema:
    """Return `DETECTIONS` with the class names that `probabilities` follows, in order."""
    return DETECTIONS.with_metadata({CLASSES_KEY: json.dumps(list(classifier_classes)).encode()})


def classifier_classes(schema: pa.Schema) -> tuple[str, ...]:
    """Return the class names kept in a detections schema; empty when there is no classifier."""
    raw = (schema.metadata or {}).get(CLASSES_KEY, b"[]")
    return tuple(json.loads(raw))
