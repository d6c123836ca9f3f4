"""The truth beside the clips: COCO boxes over every frame and spans over every second."""

import csv
import json
import math
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

CATEGORIES = ("gun", "cell_phone", "umbrella", "bag", "other")
DESCRIPTION = (
    "Every frame of every clip. Every annotated object is planted: modelled in code, rendered and "
    "composited into real footage by datasets/sample/make_sample.py. Boxes enclose the object's "
    "visible pixels (coverage above one half); frame_index is 0-based in presentation order; "
    "iscrowd 1 (for a gun also ignore true on its image): less than 40 % of the object is inside "
    "the picture. Frames without an annotation hold no planted object. There is no real gun in "
    "any clip."
)
MOSTLY_OUTSIDE = 0.4
"""An object with less than this share of itself inside the picture is marked to be ignored."""


@dataclass(frozen=True)
class Box:
    """A planted object on one frame."""

    category: str
    bbox: tuple[int, int, int, int]
    area: int
    share: float

    @property
    def ignored(self) -> bool:
        """Whether most of the object is outside the picture."""
        return self.share < MOSTLY_OUTSIDE


@dataclass
class Record:
    """A finished clip: its picture size, the (pts, time) of its frames, and the boxes by frame
    index."""

    file: str
    width: int
    height: int
    times: list[tuple[int, Fraction]]
    boxes: dict[int, Box] = field(default_factory=dict)

    def label(self, index: int) -> str:
        """What a frame is: gun, none or ignore."""
        box = self.boxes.get(index)
        if box is None or box.category != "gun":
            return "none"
        return "ignore" if box.ignored else "gun"

    def spans(self) -> list[tuple[float, float, str]]:
        """The whole clip as runs of one label, in seconds; a run starts with its first frame."""
        step = self.times[-1][1] - self.times[-2][1]
        runs: list[tuple[float, float, str]] = []
        for index, (_, time) in enumerate(self.times):
            start = math.floor(time * 1000) / 1000
            if runs and runs[-1][2] == self.label(index):
                continue
            if runs:
                runs[-1] = (runs[-1][0], start, runs[-1][2])
            runs.append((start, 0.0, self.label(index)))
        runs[-1] = (runs[-1][0], math.ceil((self.times[-1][1] + step) * 1000) / 1000, runs[-1][2])
        return runs


def write_spans(path: Path, records: list[Record]) -> None:
    """One line per run: file, start, end, class."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["file", "start_s", "end_s", "class"])
        for record in records:
            writer.writerows(
                [record.file, start, end, label] for start, end, label in record.spans()
            )


def write_coco(path: Path, records: list[Record]) -> None:
    """COCO detection JSON over every frame of every clip."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for video, record in enumerate(records, 1):
        for index, (pts, time) in enumerate(record.times):
            box = record.boxes.get(index)
            images.append(
                {
                    "id": len(images) + 1,
                    "video_id": video,
                    "file_name": f"{record.file}#{index}",
                    "frame_index": index,
                    "pts": pts,
                    "time_s": round(float(time), 6),
                    "width": record.width,
                    "height": record.height,
                    "ignore": record.label(index) == "ignore",
                }
            )
            if box is not None:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": len(images),
                        "category_id": CATEGORIES.index(box.category) + 1,
                        "bbox": list(box.bbox),
                        "area": box.area,
                        "iscrowd": int(box.ignored),
                        "planted": True,
                        "visible_share": round(box.share, 3),
                    }
                )
    document = {
        "info": {
            "description": DESCRIPTION,
            "planted": True,
            "script": "datasets/sample/make_sample.py",
        },
        "videos": [
            {"id": number, "file_name": record.file, "width": record.width, "height": record.height}
            for number, record in enumerate(records, 1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(CATEGORIES, 1)],
        "images": images,
        "annotations": annotations,
    }
    path.write_text(_lines(document), encoding="utf-8")


def _lines(document: dict[str, object]) -> str:
    """JSON with one image or annotation a line."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list):
            rows = ",\n".join("  " + json.dumps(row) for row in value)
            parts.append(f" {json.dumps(key)}: [\n{rows}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def read_coco(path: Path, folder_times: dict[str, list[tuple[int, Fraction]]]) -> dict[str, Record]:
    """The records of an earlier run by file, their timestamps as given (read back from the
    clips)."""
    document = json.loads(path.read_text(encoding="utf-8"))
    records = {}
    for video in document["videos"]:
        name = video["file_name"]
        if name in folder_times:
            records[name] = Record(name, video["width"], video["height"], folder_times[name])
    frames = {image["id"]: image for image in document["images"]}
    for entry in document["annotations"]:
        name, index = frames[entry["image_id"]]["file_name"].rsplit("#", 1)
        if name in records:
            category = CATEGORIES[entry["category_id"] - 1]
            box = Box(category, tuple(entry["bbox"]), entry["area"], entry["visible_share"])
            records[name].boxes[int(index)] = box
    return records
