"""Writers of labels by the name of their format; `load.FORMATS` names the readers."""

from __future__ import annotations

from collections.abc import Callable

from forensics.truth.write_actev import write_actev
from forensics.truth.write_fiftyone import write_fiftyone
from forensics.truth.write_json import write_coco, write_megadetector
from forensics.truth.write_text import write_mot, write_spans, write_yolo
from forensics.truth.write_xml import write_cvat, write_voc
from forensics.truth.writing import Losses

WRITERS: dict[str, Callable[..., Losses]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "mot": write_mot,
    "spans": write_spans,
    "cvat": write_cvat,
    "voc": write_voc,
    "megadetector": write_megadetector,
    "fiftyone": write_fiftyone,
    "actev": write_actev,
}

__all__ = [
    "WRITERS",
    "write_actev",
    "write_coco",
    "write_cvat",
    "write_fiftyone",
    "write_megadetector",
    "write_mot",
    "write_spans",
    "write_voc",
    "write_yolo",
]
