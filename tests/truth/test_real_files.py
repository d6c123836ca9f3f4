"""Every reader on real label files; the figures are those of the data's own description."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from forensics.truth import WRITERS, load_truth

from .data import DATA, needs_data

pytestmark = needs_data


def boxes_by_class(truth) -> Counter[str]:
    return Counter(label for media in truth.media for label in media.boxes.label)


def test_footage_truth_combines_spans_and_coco() -> None:
    truth = load_truth([DATA / "footage" / "truth"])
    spans = Counter(span.label for media in truth.media for span in media.spans)
    assert spans == {"gun": 5, "ignore": 6, "none": 68}
    coco = next(media for media in truth.media if len(media.frames))
    assert coco.name == "gun/shop-counter.mp4"
    assert (len(coco.frames), len(coco.boxes), int(coco.ignored.sum())) == (62, 58, 4)
    assert not truth.problems


def test_mot_of_two_sequences() -> None:
    pets = load_truth([DATA / "footage" / "labelled" / "pets09-s2l1.mot.txt"]).media[0]
    assert (len(pets.frames), len(pets.boxes), pets.frames[0]) == (795, 4650, 0)
    campus = load_truth([DATA / "footage" / "labelled" / "tud-campus.mot.txt"])
    assert len(campus.media[0].frames) == 71
    assert campus.problems  # people who walk out of the picture


def test_yolo_with_and_without_names() -> None:
    handheld = load_truth([DATA / "handheld"])
    assert len(handheld.media) == 355
    assert set(boxes_by_class(handheld)) == {"airpods", "phone", "wallet"}
    pistols = load_truth([DATA / "pistols"])
    assert boxes_by_class(pistols) == {"0": 1731, "1": 365, "2": 359}
    test = load_truth([DATA / "cctv-weapons" / "test"])
    assert boxes_by_class(test) == {"0": 378, "1": 72}


def test_the_whole_footage_folder_is_searched_for_truth() -> None:
    truth = load_truth([DATA / "footage"])
    assert len(truth.sources) == 4


def same_boxes(one, other) -> None:
    assert one.frames.tolist() == other.frames.tolist()
    assert one.ignored.tolist() == other.ignored.tolist()
    assert one.boxes.label == other.boxes.label
    assert one.boxes.frame_index.tolist() == other.boxes.frame_index.tolist()
    assert np.allclose(one.boxes.xyxy, other.boxes.xyxy, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["mot", "coco", "cvat", "voc"])
def test_a_real_sequence_goes_through_every_format_of_pixels(kind: str, tmp_path: Path) -> None:
    truth = load_truth([DATA / "footage" / "labelled" / "tud-campus.mot.txt"])
    out = tmp_path / ("out.json" if kind == "coco" else "out")
    losses = WRITERS[kind](truth, out)
    assert [loss.partition(": ")[0] for loss in losses] == ["tud-campus"] * (kind != "mot")
    (read,) = load_truth([out]).media
    same_boxes(truth.media[0], read)


def test_hand_made_boxes_go_to_cvat_and_back(tmp_path: Path) -> None:
    """Every eighth frame is labelled, four of them ignored: a task with a step."""
    truth = load_truth([DATA / "footage" / "truth" / "shop-counter.coco.json"])
    WRITERS["cvat"](truth, tmp_path / "out", sizes={truth.media[0].name: (1280, 720)})
    again = load_truth([tmp_path / "out"])
    same_boxes(truth.media[0], again.media[0])
    assert again.media[0].name == truth.media[0].name and not again.problems


def test_coco_s_own_tool_reads_what_is_written(tmp_path: Path) -> None:
    truth = load_truth([DATA / "footage" / "labelled" / "tud-campus.mot.txt"])
    WRITERS["coco"](truth, tmp_path / "t.json", sizes={"tud-campus": (640, 480)})
    with contextlib.redirect_stdout(io.StringIO()):
        tool = COCO(str(tmp_path / "t.json"))
    media = truth.media[0]
    assert len(tool.getImgIds()) == len(media.frames)
    assert len(tool.getAnnIds()) == len(media.boxes)
    assert len(tool.getAnnIds(iscrowd=True)) == int(media.boxes.ignore.sum())
