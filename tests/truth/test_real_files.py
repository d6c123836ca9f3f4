"""Every reader on real label files; the figures are those of the data's own description."""

from __future__ import annotations

from collections import Counter

from forensics.truth import load_truth

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
