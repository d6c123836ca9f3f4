"""Write truth as COCO or MegaDetector JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from forensics.errors import TruthError
from forensics.truth.base import MediaTruth, Truth
from forensics.truth.writing import (
    Losses,
    Sizes,
    class_list,
    in_fractions,
    in_pixels,
    is_still,
    labels_by_frame,
    lost_spans,
    lost_suffixes,
    size_of,
    write_new,
)

NO_SIZES: Sizes = MappingProxyType({})


def write_coco(truth: Truth, target: Path, *, sizes: Sizes = NO_SIZES) -> Losses:
    """Write one COCO file; every frame that was looked at is an image, also without annotation.

    Frames count from 0 (`frame_index`, and `clip.mp4#123.jpg` as `file_name`). Lost: spans, and
    that a name lacks its extension. `sizes` are needed where boxes are fractions; without them
    images have no width and height, which other readers may want.
    """
    categories = {name: number for number, name in enumerate(class_list(truth), start=1)}
    data: dict[str, list[dict[str, Any]]] = {
        "videos": [],
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }
    for media in truth.media:
        if len(media.frames):
            _coco_media(media, data, categories, sizes)
    write_new((target, json.dumps(data, indent=1, allow_nan=False) + "\n"))
    return (*lost_spans(truth, "COCO"), *lost_suffixes(truth, "COCO"))


def _coco_media(
    media: MediaTruth,
    data: dict[str, list[dict[str, Any]]],
    categories: Mapping[str, int],
    sizes: Sizes,
) -> None:
    size = size_of(media, sizes)
    shape = {} if size is None else {"width": int(size[0]), "height": int(size[1])}
    still = is_still(media)
    if not still:
        data["videos"].append({"id": len(data["videos"]) + 1, "file_name": media.name, **shape})
    boxes, xyxy = media.boxes, in_pixels(media, sizes).tolist()
    numbers = count(len(data["annotations"]) + 1)
    for (index, held), ignored in zip(
        labels_by_frame(media).items(), media.ignored.tolist(), strict=True
    ):
        image: dict[str, Any] = {"id": len(data["images"]) + 1, "file_name": media.name, **shape}
        if not still:
            image["file_name"] = f"{media.name}#{index}.jpg"
            image |= {"video_id": len(data["videos"]), "frame_index": index}
        data["images"].append(image | ({"ignore": 1} if ignored else {}))
        for box in held:
            x_min, y_min, x_max, y_max = xyxy[box]
            width, height = x_max - x_min, y_max - y_min
            annotation: dict[str, Any] = {
                "id": next(numbers),
                "image_id": image["id"],
                "category_id": categories[boxes.label[box]],
                "bbox": [x_min, y_min, width, height],
                "area": width * height,
                "iscrowd": int(boxes.ignore[box]),
            }
            data["annotations"].append(annotation | _planted(media, box))


def write_megadetector(
    truth: Truth,
    target: Path,
    *,
    sizes: Sizes = NO_SIZES,
    frame_rates: Mapping[str, float] = MappingProxyType({}),
) -> Losses:
    """Write one MegaDetector 1.6 file; `frames_processed` are all frames that were looked at.

    Frames count from 0, boxes are fractions, `conf` is 1. `frame_rates` (frames/s by name) are
    needed for videos: one rate per file, so times of variable frame rate are lost. Lost too: spans,
    and that a name lacks its extension. Ignored frames, `ignore` and `planted` go into fields of
    our own, which other readers pass over.
    """
    categories = {name: str(number) for number, name in enumerate(class_list(truth), start=1)}
    images = [
        _megadetector_media(media, categories, sizes, frame_rates)
        for media in truth.media
        if len(media.frames)
    ]
    data = {
        "info": {"format_version": "1.6", "detector": "truth"},
        "detection_categories": {number: name for name, number in categories.items()},
        "images": images,
    }
    write_new((target, json.dumps(data, indent=1, allow_nan=False) + "\n"))
    return (*lost_spans(truth, "MegaDetector"), *lost_suffixes(truth, "MegaDetector"))


def _megadetector_media(
    media: MediaTruth,
    categories: Mapping[str, str],
    sizes: Sizes,
    frame_rates: Mapping[str, float],
) -> dict[str, Any]:
    still = is_still(media)
    image: dict[str, Any] = {"file": media.name}
    if not still:
        rate = frame_rates.get(media.name, 0.0)
        if not 0 < rate < 1e6:
            raise TruthError(
                f"{media.name}: the format needs its frame rate; give it (frame_rates, or --run)"
            )
        image |= {"frame_rate": rate, "frames_processed": media.frames.tolist()}
    if media.ignored.any():
        image["frames_ignored"] = media.frames[media.ignored].tolist()
    boxes, detections = media.boxes, []
    for number, (x_min, y_min, x_max, y_max) in enumerate(in_fractions(media, sizes).tolist()):
        detection: dict[str, Any] = {
            "category": categories[boxes.label[number]],
            "conf": 1.0,
            "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
        }
        if not still:
            detection["frame_number"] = int(boxes.frame_index[number])
        if boxes.ignore[number]:
            detection["ignore"] = 1
        detections.append(detection | _planted(media, number))
    return image | {"detections": detections}


def _planted(media: MediaTruth, box: int) -> dict[str, int]:
    return {"planted": 1} if media.boxes.planted[box] else {}
