"""MegaDetector, FiftyOne and ActEV: their frame bases, and files that break them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forensics.errors import TruthError
from forensics.truth import load_truth

from .test_readers import write


def megadetector(**changes: object) -> dict[str, object]:
    detections = [
        {"category": "1", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4], "frame_number": 20},
        {"category": "2", "conf": 0.9, "bbox": [0, 0, 1, 1], "frame_number": 0, "ignore": 1},
    ]
    clip = {
        "file": "cam\\clip.mp4",
        "frame_rate": 20,
        "frames_processed": [0, 20, 40],
        "detections": detections,
    }
    still = {"file": "empty.jpg", "detections": [], "failure": None}
    lost = {"file": "bad.jpg", "detections": None, "failure": "Failure image access"}
    return {
        "info": {"format_version": "1.6"},
        "detection_categories": {"1": "gun", "2": "person"},
        "images": [clip, still, lost],
    } | changes


def test_megadetector_counts_from_nought_in_fractions(tmp_path: Path) -> None:
    truth = load_truth([write(tmp_path, "t.json", megadetector())])
    clip, still = truth.media
    assert clip.name == "cam/clip.mp4" and clip.normalised
    assert clip.frames.tolist() == [0, 20, 40] and clip.boxes.frame_index.tolist() == [0, 20]
    assert clip.boxes.xyxy[1] == pytest.approx([0.1, 0.2, 0.4, 0.6])
    assert clip.boxes.label == ("person", "gun") and clip.boxes.ignore.tolist() == [True, False]
    assert still.frames.tolist() == [0] and len(still.boxes) == 0
    assert "was not processed" in truth.problems[0].what
    assert truth.declared == ("gun", "person")


def image(**changes: object) -> dict[str, object]:
    return megadetector(images=[{"file": "a.jpg", "detections": []} | changes])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (image(file=3), r"images\[0\]: file"),
        (image(detections=None), "detections"),
        (image(detections=[{"category": "9", "bbox": [0, 0, 1, 1]}]), "category '9'"),
        (image(detections=[{"category": "1", "bbox": [0, 0, 1]}]), "bbox must be"),
        (image(detections=[{"category": "1", "bbox": [0, 0, 1, "x"]}]), "bbox holds"),
        (image(detections=[{"category": "1", "bbox": [0, 0, 1, 10**400]}]), "out of range"),
        (image(detections=[{"category": "1", "frame_number": 5}]), "frames_processed"),
        (image(frames_processed=[0.5]), "frames_processed is 0.5"),
        (image(frames_processed=3), "frames_processed"),
        (megadetector(images={}), "images"),
        (megadetector(images=[3]), r"images\[0\]"),
        (megadetector(detection_categories=[]), "detection_categories"),
        (megadetector(detection_categories={"1": ""}), "a category"),
        (megadetector(images=[{"file": "a", "detections": []}] * 2), "twice"),
    ],
)
def test_bad_megadetector_names_the_entry(data, message, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=message) as caught:
        load_truth([write(tmp_path, "t.json", data)])
    assert str(caught.value).startswith("t.json")


def detections(*boxes: dict[str, object]) -> dict[str, object]:
    return {"_cls": "Detections", "detections": list(boxes)}


GUN = {"_cls": "Detection", "label": "gun", "bounding_box": [0.1, 0.2, 0.3, 0.4]}


def samples(frames: object, **changes: object) -> dict[str, object]:
    sample = {"filepath": "/data/cam/clip.mp4", "_media_type": "video", "_id": {"$oid": "s1"}}
    return {"samples": [{**sample, "frames": frames} | changes]}


def test_fiftyone_counts_from_one_in_fractions(tmp_path: Path) -> None:
    crowd = GUN | {"iscrowd": True}
    frames = {
        "1": {"frame_number": 1, "ground_truth": detections(GUN), "model": detections(crowd)},
        "3": {"frame_number": 3, "ground_truth": detections(), "model": None},
        "4": {"frame_number": 4, "ground_truth": None},
        "5": {"ground_truth": detections(crowd, GUN)},
    }
    (media,) = load_truth([write(tmp_path, "t.json", samples(frames))]).media
    assert media.name == "/data/cam/clip.mp4" and media.normalised
    assert media.frames.tolist() == [0, 2, 4] and media.boxes.frame_index.tolist() == [0, 4, 4]
    assert media.boxes.xyxy[0] == pytest.approx([0.1, 0.2, 0.4, 0.6])
    assert media.boxes.ignore.tolist() == [False, True, False]


def write_frames_beside(folder: Path, sample_id: str, field: str) -> Path:
    """A FiftyOne export whose one labelled frame, of `sample_id`, stands in frames.json."""
    data = samples(None)
    del data["samples"][0]["frames"]  # type: ignore[index]
    frame = {"_sample_id": {"$oid": sample_id}, "frame_number": 2, field: detections(GUN)}
    write(folder, "frames.json", {"frames": [frame]})
    return write(folder, "samples.json", data)


def test_fiftyone_exports_keep_frames_in_a_file_beside(tmp_path: Path) -> None:
    path = write_frames_beside(tmp_path, "s1", "boxes")
    assert load_truth([path]).media[0].frames.tolist() == [1]
    for given in (None, "fiftyone"):
        assert load_truth([tmp_path], given).skipped == ("frames.json",)


def test_frames_of_a_sample_that_is_not_listed_are_a_problem(tmp_path: Path) -> None:
    path = write_frames_beside(tmp_path, "s2", "ground_truth")
    (problem,) = load_truth([path]).problems
    assert problem.where == "frames.json: frames[0]"
    assert problem.what == "1 frames of a sample 's2' that is not listed; not read"


def test_video_labels_describe_the_clip_of_their_name(tmp_path: Path) -> None:
    box = {"top_left": {"x": 0.1, "y": 0.2}, "bottom_right": {"x": 0.4, "y": 0.6}}
    held = {"objects": {"objects": [{"label": "gun", "bounding_box": box}]}}
    frames = {"1": {"frame_number": 1, **held}, "2": {"frame_number": 2}}
    (media,) = load_truth([write(tmp_path, "clip.json", {"frames": frames})]).media
    assert (media.name, media.suffix_known) == ("clip", False)
    assert media.frames.tolist() == [0, 1] and media.boxes.label == ("gun",)
    assert media.boxes.xyxy[0] == pytest.approx([0.1, 0.2, 0.4, 0.6])


@pytest.mark.parametrize(
    ("attributes", "ignored"),
    [
        ({"attrs": [{"name": "iscrowd", "value": True}]}, True),
        ({"attrs": [{"name": "ignore", "value": 1}, {"name": "x", "value": [1]}]}, True),
        ({"attrs": [{"name": ["iscrowd"], "value": True}, 3]}, False),
        ({"attrs": 3}, False),
        (3, False),
    ],
)
def test_video_labels_keep_flags_in_a_list(attributes, ignored: bool, tmp_path: Path) -> None:
    box = {"top_left": {"x": 0.1, "y": 0.2}, "bottom_right": {"x": 0.4, "y": 0.6}}
    held = {"label": "gun", "bounding_box": box, "attrs": attributes}
    data = {"frames": {"1": {"frame_number": 1, "objects": {"objects": [held]}}}}
    (media,) = load_truth([write(tmp_path, "clip.json", data)]).media
    assert media.boxes.ignore.tolist() == [ignored]


TWO = {"a": detections(GUN), "b": detections(GUN)}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (samples({"1": {"frame_number": 0, "a": detections()}}), "frame_number is 0"),
        (samples({"1": {"frame_number": 2.5, "a": detections()}}), "frame_number is 2.5"),
        (samples({"1": {"a": {"detections": 3}}}), "frame 1.*detections"),
        (samples({"1": {"a": detections({"label": "gun"})}}), "box 0: bounding_box"),
        (samples({"1": {"a": detections({"bounding_box": [0, 0, 1, 1]})}}), "box 0: label"),
        (samples({"1": 3}), "frame 1"),
        (samples({"1": TWO}), r"several fields \(a, b\)"),
        (samples({"1": {"frame_number": 2, "a": detections()}, "2": {"a": detections()}}), "twice"),
        (samples("frames/0.json"), "to_json"),
        ({"samples": samples({})["samples"] * 2}, "twice"),  # type: ignore[operator]
        ({"samples": [{"filepath": "a.mp4", "_id": "x"}]}, r"put frames\.json beside"),
        ({"frames": {"1": {"objects": {"objects": [{"label": "a", "bounding_box": {}}]}}}}, "top"),
    ],
)
def test_bad_fiftyone_names_the_entry(data, message, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=message) as caught:
        load_truth([write(tmp_path, "t.json", data)])
    assert str(caught.value).startswith("t.json")


def actev(*activities: dict[str, object], files: tuple[str, ...] = ("a.mp4",)) -> dict[str, object]:
    return {"filesProcessed": list(files), "activities": list(activities)}


def activity(signal: dict[str, int], name: str = "a.mp4", **more: object) -> dict[str, object]:
    return {"activity": "Talking", "activityID": 1, "localization": {name: signal}, **more}


INDEX = {
    "a.mp4": {"framerate": 10.0, "selected": {"1": 1, "101": 0, "201": 1, "301": 0}},
    "b.mp4": {"framerate": 29.97, "selected": {"1": 1, "2998": 0}},
}


def read_actev(folder: Path, data: object, index: object = INDEX):
    write(folder, "ref_file-index.json", index)
    return load_truth([write(folder, "ref.json", data)])


def test_actev_counts_from_one_at_each_file_s_own_rate(tmp_path: Path) -> None:
    other = activity({"1": 1, "2998": 0}, "b.mp4")
    truth = read_actev(
        tmp_path, actev(activity({"11": 1, "21": 0}), other, files=("a.mp4", "b.mp4"))
    )
    first, second = truth.media
    spans = [(span.start_s, span.end_s, span.label) for span in first.spans]
    assert spans == [(0, 10, "none"), (20, 30, "none"), (1, 2, "Talking")]
    assert second.spans[1].end_s == pytest.approx(2997 / 29.97)
    assert truth.classes == ("Talking", "none") and not truth.problems


def test_actev_is_cut_to_what_was_judged_and_says_so(tmp_path: Path) -> None:
    boxed = activity({"0": 1, "11": 0}, objects=[{"objectType": "person"}])
    truth = read_actev(tmp_path, actev(activity({"91": 1, "151": 0}), boxed))
    spans = [(span.start_s, span.end_s) for span in truth.media[0].spans if span.label != "none"]
    assert spans == [(9, 10), (0, 1)]
    assert [problem.where for problem in truth.problems] == ["ref.json: activities[0]", "ref.json"]


def test_a_folder_of_actev_files_leaves_its_index_out(tmp_path: Path) -> None:
    read_actev(tmp_path, actev())
    for given in (None, "actev"):
        assert load_truth([tmp_path], given).skipped == ("ref_file-index.json",)


@pytest.mark.parametrize(
    ("data", "index", "message"),
    [
        (actev(activity({"11": 1})), INDEX, r"activities\[0\]: the signal that begins at frame 11"),
        (actev(activity({"x": 1, "9": 0})), INDEX, "frame is 'x'"),
        (actev(activity({"1": 2, "9": 0})), INDEX, "1 is 2"),
        (actev(activity({"1": 1, "9": 0}, "b.mp4")), INDEX, "b.mp4 is not in filesProcessed"),
        (actev({"activity": "", "localization": {}}), INDEX, "activity is ''"),
        (actev({"activity": "none", "localization": {}}), INDEX, "cannot be called none"),
        (actev({"activity": "a"}), INDEX, "localization"),
        (actev(files=("c.mp4",)), INDEX, "c.mp4 is not in ref_file-index.json"),
        (actev(), {"a.mp4": {"framerate": 0, "selected": {}}}, "framerate 0"),
        (actev(), {"a.mp4": {"framerate": "x", "selected": {}}}, "framerate is 'x'"),
        (actev(), {"a.mp4": {"framerate": 9}}, "selected"),
        (actev(), {"a.mp4": 3}, "a.mp4"),
    ],
)
def test_bad_actev_names_the_entry(data, index, message, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=message):
        read_actev(tmp_path, data, index)


def test_activities_without_their_index_say_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=r"ref\.file-index\.json"):
        load_truth([write(tmp_path, "ref.json", actev())])


def test_a_file_is_parsed_once_though_its_format_is_told_by_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "labels.json").write_text(
        '{"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}],'
        ' "categories": [{"id": 1, "name": "gun"}],'
        ' "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]}'
    )
    parsed: list[int] = []
    loads = json.loads

    def counted(*given: Any, **options: Any) -> Any:
        parsed.append(1)
        return loads(*given, **options)

    monkeypatch.setattr(json, "loads", counted)
    told = load_truth([tmp_path / "labels.json"])
    assert len(parsed) == 1
    given = load_truth([tmp_path / "labels.json"], "coco")
    assert len(parsed) == 2
    assert told.media[0].boxes.xyxy.tolist() == given.media[0].boxes.xyxy.tolist() == [[1, 2, 4, 6]]
