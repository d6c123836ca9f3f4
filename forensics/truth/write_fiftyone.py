"""Write truth as FiftyOne's JSON of samples with their frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forensics.truth.base import MediaTruth, Truth
from forensics.truth.fiftyone import PREFERRED
from forensics.truth.write_json import NO_SIZES
from forensics.truth.writing import (
    Losses,
    Sizes,
    in_fractions,
    is_still,
    labels_by_frame,
    lost_spans,
    lost_suffixes,
    write_new,
)

_FIELDS = "fiftyone.core.fields"
_DETECTIONS = f"{_FIELDS}.EmbeddedDocumentField(fiftyone.core.labels.Detections)"


def write_fiftyone(truth: Truth, target: Path, *, sizes: Sizes = NO_SIZES) -> Losses:
    """Write one JSON file of videos, for `Dataset.from_json(FILE, rel_dir=FOOTAGE)`.

    Frames count from 1, boxes are fractions in the frames' field `ground_truth`; a frame that was
    looked at has it, also empty. Ignore regions are `iscrowd`; `planted` on boxes and `ignore` on
    frames are fields of our own, which FiftyOne keeps. Lost: spans, stills (a data set of FiftyOne
    holds videos or pictures), and that a name lacks its extension, without which FiftyOne does not
    take the file for a video. `sizes` are needed where boxes are pixels.
    """
    losses = lost_spans(truth, "FiftyOne") + lost_suffixes(truth, "FiftyOne")
    samples = []
    for media in truth.media:
        if is_still(media):
            losses.append(f"{media.name}: a picture is left out; this file holds videos")
        elif len(media.frames):
            samples.append(_sample(media, sizes))
    data = {
        "name": target.stem,
        "media_type": "video",
        "sample_fields": {"filepath": f"{_FIELDS}.StringField"},
        "frame_fields": {
            "frame_number": f"{_FIELDS}.FrameNumberField",
            PREFERRED: _DETECTIONS,
            "ignore": f"{_FIELDS}.BooleanField",
        },
        "info": {},
        "samples": samples,
    }
    write_new((target, json.dumps(data, indent=1, allow_nan=False) + "\n"))
    return tuple(losses)


def _sample(media: MediaTruth, sizes: Sizes) -> dict[str, Any]:
    boxes, xyxy = media.boxes, in_fractions(media, sizes).tolist()
    ignored = dict(zip(media.frames.tolist(), media.ignored.tolist(), strict=True))
    frames = {}
    for index, held in labels_by_frame(media).items():
        detections = []
        for box in held:
            x_min, y_min, x_max, y_max = xyxy[box]
            detection: dict[str, Any] = {
                "_cls": "Detection",
                "label": boxes.label[box],
                "bounding_box": [x_min, y_min, x_max - x_min, y_max - y_min],
            }
            said = {"iscrowd": boxes.ignore[box], "planted": boxes.planted[box]}
            detections.append(detection | {name: True for name, value in said.items() if value})
        frame = {
            "frame_number": index + 1,
            PREFERRED: {"_cls": "Detections", "detections": detections},
        }
        frames[str(index + 1)] = frame | ({"ignore": True} if ignored[index] else {})
    return {"filepath": media.name, "frames": frames}
