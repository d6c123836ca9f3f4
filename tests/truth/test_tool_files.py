"""Files that the formats' own tools wrote (files/README.md): our readers see what was put in."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from forensics.errors import TruthError
from forensics.truth import MediaTruth, Truth, load_truth

FILES = Path(__file__).with_name("files")
Box = tuple[int, str, tuple[float, ...]]  # frame, class, corners
GUN, BRUSH = "gun", "Bürste"


def boxes(media: MediaTruth, digits: int = 9) -> list[Box]:
    held = media.boxes
    places = [tuple(round(value, digits) for value in row) for row in held.xyxy.tolist()]
    return list(zip(held.frame_index.tolist(), held.label, places, strict=True))


def by_end(truth: Truth) -> dict[str, MediaTruth]:
    """Media by the last parts of their names: some formats name pictures by where they lie."""
    return {media.name.rpartition("files/")[2]: media for media in truth.media}


def ignored_boxes(media: MediaTruth) -> list[int]:
    return media.boxes.ignore.nonzero()[0].tolist()


IN_FRACTIONS: list[Box] = [
    (0, GUN, (0.1, 0.2, 0.35, 0.7)),
    (0, BRUSH, (0.5, 0.5, 0.625, 0.625)),
    (1, GUN, (0.125, 0.2, 0.375, 0.7)),
    (7, GUN, (0.75, 0.5, 1, 1)),
]
CLIP = "Kamera Süd/clip 1.mp4"


@pytest.mark.parametrize("given", ["with_frames.json", "dataset"])
@pytest.mark.parametrize("kind", [None, "fiftyone"])
def test_fiftyone_s_samples(given: str, kind: str | None) -> None:
    truth = load_truth([FILES / "fiftyone" / given], kind)
    clip, other = truth.media
    assert (clip.name, clip.suffix_known, clip.normalised) == (CLIP, True, True)
    assert clip.frames.tolist() == [0, 1, 2, 7]  # 2 was looked at, 4 was not
    assert boxes(clip) == IN_FRACTIONS and ignored_boxes(clip) == [1]
    assert (other.name, boxes(other)) == ("b.mp4", [(3, GUN, (0, 0, 1, 1))])
    assert not truth.problems


@pytest.mark.parametrize("kind", [None, "fiftyone"])
def test_fiftyone_s_video_labels(kind: str | None) -> None:
    truth = load_truth([FILES / "fiftyone" / "video_labels"], kind)
    clip, other = truth.media
    assert (clip.name, clip.source) == ("clip 1", "labels/Kamera Süd/clip 1.json")
    assert clip.frames.tolist() == [0, 1, 2, 4, 7]  # the form cannot say that 4 was not looked at
    assert boxes(clip) == IN_FRACTIONS and ignored_boxes(clip) == [1]
    assert (other.name, boxes(other)) == ("b", [(3, GUN, (0, 0, 1, 1))])
    assert truth.skipped == ("manifest.json",) and not truth.problems


def test_fiftyone_s_video_labels_of_two_fields_give_the_truth_alone() -> None:
    (clip,) = load_truth([FILES / "fiftyone" / "two_fields"]).media
    assert boxes(clip) == IN_FRACTIONS and ignored_boxes(clip) == [1]


def test_cvat_xml_of_fiftyone() -> None:
    """No keyframes, an end behind the last frame, `iscrowd` as attribute, and no `source`."""
    truth = load_truth([FILES / "fiftyone" / "cvat"])
    clip, other = truth.media
    assert (clip.name, clip.frames.tolist()) == ("clip 1", list(range(8)))
    assert boxes(clip) == [
        (0, GUN, (64, 72, 224, 252)),
        (0, BRUSH, (320, 180, 400, 225)),
        (1, GUN, (80, 72, 240, 252)),
        (7, GUN, (480, 180, 640, 360)),
    ]
    assert ignored_boxes(clip) == [1]
    assert boxes(other) == [(3, GUN, (0, 0, 640, 360))]
    assert not truth.problems


def test_cvat_xml_of_datumaro() -> None:
    """Its `stop_frame` is the number behind the last; outside boxes are no boxes."""
    truth = load_truth([FILES / "datumaro" / "cvat"])
    (media,) = truth.media
    assert (media.name, media.frames.tolist()) == ("Kamera Süd", list(range(6)))
    assert boxes(media) == [
        (0, GUN, (10, 20, 40.25, 60.5)),
        (0, "Bürste & Kamm", (300, 200, 320, 220)),
        (1, GUN, (14, 20, 44.25, 60.5)),
        (2, GUN, (18, 20, 48.25, 60.5)),
        (5, GUN, (600, 300, 640, 360)),
    ]
    assert truth.declared == (GUN, "Bürste & Kamm") and not truth.problems


def test_pascal_voc_of_datumaro() -> None:
    """Its corners count from 0: a pixel off above and at the left, said where a corner is 0."""
    truth = load_truth([FILES / "datumaro" / "voc"])
    found = by_end(truth)
    street = found["datumaro/voc/JPEGImages/Straße 1.jpg"]
    assert boxes(street) == [
        (0, GUN, (9, 19, 40, 60)),
        (0, "Bürste & Kamm", (319, 179, 384, 216)),
    ]
    assert ignored_boxes(street) == [1]  # difficult
    assert boxes(found["cam/b.jpg"]) == [(0, GUN, (-1, -1, 640, 360))]
    assert len(found) == 2  # a picture without objects has no file
    assert [problem.where for problem in truth.problems] == ["Annotations/cam/b.xml: object 0"]


def test_coco_of_datumaro() -> None:
    truth = load_truth([FILES / "datumaro" / "coco"])
    found = by_end(truth)
    assert boxes(found["Straße 1.jpg"]) == [
        (0, GUN, (10, 20, 40, 60)),
        (0, "Bürste & Kamm", (320, 180, 384, 216)),
    ]
    assert found["cam/leer.jpg"].frames.tolist() == [0] and not len(found["cam/leer.jpg"].boxes)
    assert boxes(found["cam/b.jpg"]) == [(0, GUN, (0, 0, 640, 360))]
    assert not truth.problems


@pytest.mark.parametrize("kind", [None, "yolo"])
def test_yolo_of_datumaro(kind: str | None) -> None:
    """Darknet's layout: no folder `labels`, negatives are empty files, lists beside."""
    truth = load_truth([FILES / "datumaro" / "yolo"], kind)
    found = by_end(truth)
    street = found["datumaro/yolo/obj_train_data/Straße 1"]
    assert street.normalised and not street.suffix_known
    assert boxes(street, 5) == [(0, GUN, (0.01562, 0.05556, 0.0625, 0.16667))]
    empty = found["datumaro/yolo/obj_train_data/cam/leer"]
    assert empty.frames.tolist() == [0] and not len(empty.boxes)
    assert boxes(found["datumaro/yolo/obj_val_data/cam/b"]) == [(0, GUN, (0, 0, 1, 1))]
    assert truth.declared == (GUN, "Bürste & Kamm")
    assert truth.skipped == ("train.txt", "val.txt") and not truth.problems


def test_yolo_of_ultralytics(tmp_path: Path) -> None:
    """Written here and now: it is part of the extra `train`."""
    results = pytest.importorskip("ultralytics.engine.results", reason="no ultralytics")
    torch = pytest.importorskip("torch", reason="no PyTorch")
    found = torch.tensor([[64, 72, 224, 252, 0.9, 1], [320, 180, 400, 225, 0.8, 0]])
    picture = np.zeros((360, 640, 3), np.uint8)
    names = {0: BRUSH, 1: GUN}
    result = results.Results(picture, path=f"{BRUSH}.jpg", names=names, boxes=found)
    (tmp_path / "labels").mkdir()
    result.save_txt(tmp_path / "labels" / f"{BRUSH}.txt")
    (tmp_path / "data.yaml").write_text(f"names:\n  0: {BRUSH}\n  1: {GUN}\n", encoding="utf-8")
    (media,) = load_truth([tmp_path]).media
    assert media.name == (tmp_path / "images" / BRUSH).as_posix()
    assert boxes(media, 5) == [
        (0, GUN, (0.1, 0.2, 0.35, 0.7)),
        (0, BRUSH, (0.5, 0.5, 0.625, 0.625)),
    ]


@pytest.mark.parametrize("kind", [None, "mot"])
def test_mot_of_datumaro(kind: str | None) -> None:
    """Class numbers count the names in labels.txt; without seqinfo.ini the last row is the end."""
    truth = load_truth([FILES / "datumaro" / "mot"], kind)
    (media,) = truth.media
    assert (media.name, media.suffix_known) == ("Kamera Süd", False)
    assert media.frames.tolist() == [0, 1, 2]  # a fourth was looked at
    assert boxes(media) == [
        (0, GUN, (10, 20, 40.5, 60)),
        (0, "Bürste & Kamm", (320, 180, 384, 216)),
        (2, GUN, (12, 20, 42.5, 60)),
    ]
    assert ignored_boxes(media) == [1]
    assert truth.declared == (GUN, "Bürste & Kamm") and not truth.problems


def test_a_mot_class_beyond_labels_txt_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FILES / "datumaro" / "mot", tmp_path / "mot")
    (tmp_path / "mot" / "Kamera Süd" / "gt" / "labels.txt").write_text("gun\n")
    with pytest.raises(TruthError, match=r"gt\.txt:2: class 2 has no name; they are 1 to 1"):
        load_truth([tmp_path])


def test_megadetector_s_results() -> None:
    truth = load_truth([FILES / "megadetector" / "results.json"])
    clip, other, still, empty = truth.media
    assert (clip.name, clip.frames.tolist()) == (CLIP, [0, 10, 20])
    assert boxes(clip) == [
        (0, "vehicle", (0, 0, 1, 1)),
        (0, "person", (0.125, 0.5, 0.25, 0.75)),
        (20, "person", (0.25, 0.5, 0.375, 0.75)),
    ]
    assert (other.name, other.frames.tolist(), len(other.boxes)) == ("b.mp4", [3], 0)
    assert (still.name, boxes(still)) == ("stills/a.jpg", [(0, "animal", (0.5, 0.5, 1, 1))])
    assert (empty.name, empty.frames.tolist()) == ("stills/leer.jpg", [0])
    assert truth.declared == ("animal", "person", "vehicle")
    assert [problem.what.partition(" ")[0] for problem in truth.problems] == [
        "broken.mp4",
        "stills/broken.jpg",
    ]
