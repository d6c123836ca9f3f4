"""The formats' own tools read what our writers write; a tool that is not there is a counted skip.

The environments in which these were run, with versions, are in files/README.md.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from forensics.truth import WRITERS, MediaTruth, Truth, load_truth
from forensics.truth.base import MediaBuilder

CLIP, STILL = "Kamera Süd/clip 1.mp4", "Straße 1.jpg"
SIZES = {CLIP: (640, 360), STILL: (640, 360)}
BRUSH = "Bürste & Kamm"


def tool(name: str) -> ModuleType:
    return pytest.importorskip(
        name, reason=f"{name} is not installed (tests/truth/files/README.md)"
    )


def clip(*, labels: tuple[str, ...] = ("gun", BRUSH), ignored: bool = False) -> MediaTruth:
    """Four frames: two boxes, one of them an ignore region; nothing; a box in the last."""
    builder = MediaBuilder(CLIP, "t")
    for frame in range(4):
        builder.add_frame(frame, ignore=ignored and frame == 2)
    builder.add_box(0, (64, 72, 224.5, 252), labels[0], "")
    builder.add_box(0, (320, 180, 400, 225), labels[-1], "", ignore=True)
    builder.add_box(3, (480, 180, 640, 360), labels[0], "", planted=True)
    return builder.build()


def still() -> MediaTruth:
    builder = MediaBuilder(STILL, "t")
    builder.add_box(0, (64, 72, 224, 252), "gun", "")
    builder.add_box(0, (320, 180, 400, 225), BRUSH, "", ignore=True)
    return builder.build()


def written(kind: str, target: Path, *media: MediaTruth, **options: object) -> Path:
    WRITERS[kind](Truth(media), target, sizes=SIZES, **options)
    return target


def datumaro_boxes(data, item) -> list[tuple[str, list[float], dict]]:
    known = data.categories()[tool("datumaro").AnnotationType.label].items
    return [
        (known[box.label].name if box.label is not None else "", list(box.points), box.attributes)
        for box in item.annotations
    ]


def test_datumaro_reads_our_cvat(tmp_path: Path) -> None:
    datumaro = tool("datumaro")
    written("cvat", tmp_path / "out", clip(ignored=True))
    data = datumaro.Dataset.import_from(str(tmp_path / "out"), "cvat")
    there = {
        item.attributes["frame"]: [
            (label, points, bool(said.get("ignore")), bool(said.get("planted")))
            for label, points, said in datumaro_boxes(data, item)
            if not said["outside"]
        ]
        for item in data
    }
    assert {frame: held for frame, held in there.items() if held} == {
        0: [
            ("gun", [64, 72, 224.5, 252], False, False),
            (BRUSH, [320, 180, 400, 225], True, False),
        ],
        2: [("ignored frame", [0, 0, 640, 360], True, False)],
        3: [("gun", [480, 180, 640, 360], False, True)],
    }


def test_datumaro_reads_our_coco(tmp_path: Path) -> None:
    datumaro = tool("datumaro")
    written("coco", tmp_path / "annotations" / "instances_default.json", clip(), still())
    (tmp_path / "images").mkdir()
    data = datumaro.Dataset.import_from(str(tmp_path), "coco_instances")
    found = {
        item.id: sorted((label, points) for label, points, _ in datumaro_boxes(data, item))
        for item in data
    }
    brush = (BRUSH, [320, 180, 400, 225])
    assert found == {
        f"{CLIP}#0": [brush, ("gun", [64, 72, 224.5, 252])],
        f"{CLIP}#1": [],
        f"{CLIP}#2": [],
        f"{CLIP}#3": [("gun", [480, 180, 640, 360])],
        "Straße 1": [brush, ("gun", [64, 72, 224, 252])],
    }
    data.export(str(tmp_path / "back"), "coco_instances")
    read = load_truth([tmp_path / "back"])
    clip_, still_ = sorted(read.media, key=lambda media: media.name)
    assert (clip_.name, clip_.frames.tolist()) == (CLIP, [0, 1, 2, 3])
    assert clip_.boxes.frame_index.tolist() == [0, 0, 3]
    assert (still_.name, len(still_.boxes)) == (STILL, 2)


def test_datumaro_reads_our_voc_from_nought(tmp_path: Path) -> None:
    """It takes VOC's corners, which count from 1, as its own, which count from 0."""
    datumaro = tool("datumaro")
    written("voc", tmp_path / "Annotations", still())
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("Straße 1\n", encoding="utf-8")
    (tmp_path / "labelmap.txt").write_text(f"gun:::\n{BRUSH}:::\n", encoding="utf-8")
    data = datumaro.Dataset.import_from(str(tmp_path), "voc_detection")
    (item,) = data
    found = [(label, p, said["difficult"]) for label, p, said in datumaro_boxes(data, item)]
    assert found == [("gun", [65, 73, 224, 252], False), (BRUSH, [321, 181, 400, 225], True)]


def mot(folder: Path, *labels: str) -> Path:
    """Our MOT files under the names that MOTChallenge has for them."""
    written("mot", folder / "ours", clip(labels=labels))
    sequence = folder / "train" / "clip"
    (sequence / "gt").mkdir(parents=True)
    ours = folder / "ours" / "Kamera Süd"
    shutil.copy(ours / "clip 1.mot.txt", sequence / "gt" / "gt.txt")
    shutil.copy(ours / "clip 1.seqinfo.ini", sequence / "seqinfo.ini")
    return folder / "train"


def test_trackeval_reads_our_mot(tmp_path: Path) -> None:
    trackeval = tool("trackeval")
    truth = mot(tmp_path, "person", "car")
    tracked = tmp_path / "trackers" / "ours" / "data"
    tracked.mkdir(parents=True)
    rows = (truth / "clip" / "gt" / "gt.txt").read_text().splitlines(keepends=True)
    (tracked / "clip.txt").write_text("".join(row for row in rows if row.split(",")[7] == "1"))
    with contextlib.redirect_stdout(io.StringIO()):
        reader = trackeval.datasets.MotChallenge2DBox(
            {
                "GT_FOLDER": str(truth),
                "TRACKERS_FOLDER": str(tmp_path / "trackers"),
                "SEQ_INFO": {"clip": None},
                "SKIP_SPLIT_FOL": True,
                "PRINT_CONFIG": False,
            }
        )
        raw = reader.get_raw_seq_data("ours", "clip")
    assert raw["num_timesteps"] == 4
    assert [dets.tolist() for dets in raw["gt_dets"]] == [
        [[64, 72, 160.5, 180], [320, 180, 80, 45]],
        [],
        [],
        [[480, 180, 160, 180]],
    ]
    assert [c.tolist() for c in raw["gt_classes"]] == [[1, 3], [], [], [1]]
    assert raw["gt_extras"][0]["zero_marked"].tolist() == [1, 0]
    data = reader.get_preprocessed_seq_data(raw, "pedestrian")
    assert data["num_gt_dets"] == 2  # the car, which is to be ignored, is not scored


def test_datumaro_reads_our_mot(tmp_path: Path) -> None:
    datumaro = tool("datumaro")
    truth = mot(tmp_path, "person", "car")
    (truth / "clip" / "seqinfo.ini").unlink()  # it takes no seqinfo.ini with fields of ours
    data = datumaro.Dataset.import_from(str(truth), "mot_seq")
    found = {
        item.id: [(label, points, said["ignored"]) for label, points, said in boxes]
        for item in data
        for boxes in [datumaro_boxes(data, item)]
    }
    assert found == {
        "1": [("pedestrian", [64, 72, 224.5, 252], False), ("car", [320, 180, 400, 225], True)],
        "4": [("pedestrian", [480, 180, 640, 360], False)],
    }


def test_megadetector_finds_our_file_valid(tmp_path: Path) -> None:
    tool("megadetector")
    validate = tool("megadetector.postprocessing.validate_batch_results")
    load = tool("megadetector.postprocessing.load_api_results")
    rates = {CLIP: 12.5}
    path = written("megadetector", tmp_path / "t.json", clip(), still(), frame_rates=rates)
    result = validate.validate_batch_results(str(path))["validation_results"]
    assert result["errors"] == [] and result["warnings"] == []
    assert dict(result["detection_category_id_to_count"]) == {"1": 3, "2": 2}
    with contextlib.redirect_stdout(io.StringIO()):
        table, rest = load.load_api_results(str(path))
    assert table["file"].tolist() == [CLIP, STILL]
    assert rest["detection_categories"] == {"1": "gun", "2": BRUSH}
    detections = table["detections"][0]
    assert [box["frame_number"] for box in detections] == [0, 0, 3]
    assert np.allclose(detections[0]["bbox"], [0.1, 0.2, 160.5 / 640, 0.5])


@pytest.fixture
def fiftyone():
    """FiftyOne with the database that FIFTYONE_DATABASE_URI names."""
    module = tool("fiftyone")
    if "FIFTYONE_DATABASE_URI" not in os.environ:
        pytest.skip("FiftyOne needs a MongoDB: set FIFTYONE_DATABASE_URI")
    return module


def test_fiftyone_reads_our_json(fiftyone, tmp_path: Path) -> None:
    path = written("fiftyone", tmp_path / "t.json", clip(ignored=True))
    data = fiftyone.Dataset.from_json(str(path), rel_dir=str(tmp_path))
    try:
        (sample,) = data
        assert (data.media_type, sample.filepath) == ("video", str(tmp_path / CLIP))
        assert sorted(sample.frames) == [1, 2, 3, 4]
        found = {
            number: [
                (
                    box.label,
                    [round(value, 9) for value in box.bounding_box],
                    getattr(box, "iscrowd", None),
                )
                for box in frame.ground_truth.detections
            ]
            for number, frame in sample.frames.items()
        }
        assert found == {
            1: [
                ("gun", [0.1, 0.2, 0.25078125, 0.5], None),
                (BRUSH, [0.5, 0.5, 0.125, 0.125], True),
            ],
            2: [],
            3: [],
            4: [("gun", [0.75, 0.5, 0.25, 0.5], None)],
        }
        assert [frame["ignore"] for frame in sample.frames.values()] == [None, None, True, None]
        assert sample.frames[4].ground_truth.detections[0]["planted"] is True
    finally:
        data.delete()


def test_fiftyone_reads_our_cvat(fiftyone, tmp_path: Path) -> None:
    """It takes whole pixels: half of one is lost there."""
    from fiftyone.utils.cvat import _cvat_tracks_to_frames_dict, load_cvat_video_annotations

    written("cvat", tmp_path / "out", clip(ignored=True))
    (path,) = (tmp_path / "out").rglob("*.xml")
    _, labels, tracks = load_cvat_video_annotations(str(path))
    assert [label["name"] for label in labels.labels] == ["gun", BRUSH, "ignored frame"]
    frames = _cvat_tracks_to_frames_dict(tracks)
    found = {
        number: [
            (box.label, [round(value, 9) for value in box.bounding_box])
            for box in held["detections"].detections
        ]
        for number, held in frames.items()
    }
    assert found == {
        1: [("gun", [0.1, 0.2, 0.25, 0.5]), (BRUSH, [0.5, 0.5, 0.125, 0.125])],
        3: [("ignored frame", [0, 0, 1, 1])],
        4: [("gun", [0.75, 0.5, 0.25, 0.5])],
    }


def test_pycocotools_reads_our_coco(tmp_path: Path) -> None:
    coco = tool("pycocotools.coco")
    path = written("coco", tmp_path / "t.json", clip(), still())
    with contextlib.redirect_stdout(io.StringIO()):
        tool_ = coco.COCO(str(path))
    names = {image["id"]: image["file_name"] for image in tool_.loadImgs(tool_.getImgIds())}
    assert list(names.values()) == [*(f"{CLIP}#{frame}.jpg" for frame in range(4)), STILL]
    kinds = {entry["id"]: entry["name"] for entry in tool_.loadCats(tool_.getCatIds())}
    found = [
        (names[box["image_id"]], kinds[box["category_id"]], box["bbox"], box["iscrowd"])
        for box in tool_.loadAnns(tool_.getAnnIds())
    ]
    assert found == [
        (f"{CLIP}#0.jpg", "gun", [64, 72, 160.5, 180], 0),
        (f"{CLIP}#0.jpg", BRUSH, [320, 180, 80, 45], 1),
        (f"{CLIP}#3.jpg", "gun", [480, 180, 160, 180], 0),
        (STILL, "gun", [64, 72, 160, 180], 0),
        (STILL, BRUSH, [320, 180, 80, 45], 1),
    ]


def test_ultralytics_reads_our_yolo(tmp_path: Path) -> None:
    utils = tool("ultralytics.data.utils")
    image = tool("PIL.Image")
    builder = MediaBuilder(STILL, "t")
    builder.add_box(0, (64, 72, 224, 252), "gun", "")
    builder.add_box(0, (320, 180, 400, 225), BRUSH, "")
    written("yolo", tmp_path / "set", builder.build())
    (tmp_path / "set" / "images").mkdir()
    picture = tmp_path / "set" / "images" / STILL
    image.new("RGB", (640, 360)).save(picture)
    data = tool("ultralytics.utils").YAML.load(tmp_path / "set" / "data.yaml")
    assert data["names"] == {0: "gun", 1: BRUSH}
    (label,) = utils.img2label_paths([str(picture)])
    checked = utils.verify_image_label((str(picture), label, "", False, 2, 0, 0, False))
    labels, shape, found, corrupt = checked[1], checked[2], checked[6], checked[8]
    assert (shape, found, corrupt) == ((360, 640), 1, 0)
    assert np.allclose(labels, [[0, 0.225, 0.45, 0.25, 0.5], [1, 0.5625, 0.5625, 0.125, 0.125]])
