"""Other tools' detections become a run folder that `evaluate` and `verify` take like a scan."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from forensics.cli.main import run as run_command_line
from forensics.errors import ForensicsError, RunLogError, TruthError
from forensics.footage.find import common_base, find_inputs
from forensics.runlog.reader import open_run
from forensics.runlog.verify import verify_run
from forensics.scan.attach import attach
from forensics.scan.import_manifest import ImportOptions, describe_import
from forensics.scan.imported import Imported, import_predictions
from forensics.truth.predictions import load_predictions
from tests.support.clips import truncate, write_clip, write_still
from tests.support.scans import Silent

FRAMES = 12
SIZE = (160, 120)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of variable frame rate and a still. Read only."""
    folder = tmp_path_factory.mktemp("footage")
    (folder / "cam").mkdir()
    times = [n / 25 + 0.01 * (n % 3) for n in range(FRAMES)]
    write_clip(folder / "cam" / "clip.mkv", frames=FRAMES, times_s=times, size=SIZE)
    write_still(folder / "cam" / "still_3.jpg", 3, size=SIZE)
    return folder


def text_labels(folder: Path, *lines: tuple[str, str]) -> Path:
    """A folder as `yolo predict save_txt=True save_conf=True` leaves it."""
    labels = folder / "predict" / "labels"
    labels.mkdir(parents=True)
    for name, line in lines:
        (labels / f"{name}.txt").write_text(line)
    return labels


def run(footage: Path, out: Path, *files: Path, options=None, **reading) -> Imported:
    return import_predictions(
        find_inputs([footage], recursive=True),
        common_base([footage]),
        out,
        load_predictions(files, **reading),
        options or ImportOptions((), missing="empty"),
        progress=Silent(),
    )


def test_ultralytics_text_of_a_video_and_a_still(footage: Path, tmp_path: Path) -> None:
    labels = text_labels(
        tmp_path,
        ("clip_1", "0 0.5 0.5 0.2 0.4 0.3\n0 0.5 0.5 0.5 0.5 0.9 7\n"),
        ("clip_12", "0 0.1 0.1 0.4 0.4 0.5\n"),
        ("still_3", "0 0.5 0.5 0.2 0.4 0.75\n"),
    )
    (labels / "classes.txt").write_text("gun\n")
    done = run(footage, tmp_path / "run", labels)
    tables = open_run(tmp_path / "run")
    media = {row["path"]: row for row in tables.media.to_pylist()}
    clip = media["cam/clip.mkv"]
    assert clip["status"] == "ok" and clip["frames_decoded"] == FRAMES and clip["vfr"]
    frames = [r for r in tables.frames.to_pylist() if r["media_id"] == clip["media_id"]]
    assert [row["n_detections"] for row in frames] == [2, *[0] * (FRAMES - 2), 1]
    assert frames[2]["time_s"] == pytest.approx(2 / 25 + 0.02, abs=1e-3)
    boxes = [r for r in tables.detections.to_pylist() if r["media_id"] == clip["media_id"]]
    assert [round(row["detector_score"], 2) for row in boxes] == [0.9, 0.3, 0.5]
    assert [row["detection_index"] for row in boxes] == [0, 1, 0]
    corners = [boxes[1][name] for name in ("x_min", "y_min", "x_max", "y_max")]
    assert corners == pytest.approx([64, 36, 96, 84])
    assert boxes[2]["x_min"] == 0 and boxes[2]["frame_index"] == FRAMES - 1
    assert {row["detector_class"] for row in boxes} == {"gun"}
    assert boxes[0]["target_score"] is None and boxes[0]["decided_by"] == "detector"
    assert done.result.frames == FRAMES + 1 and not done.problems


def test_the_manifest_says_that_nothing_was_scanned(footage: Path, tmp_path: Path) -> None:
    labels = text_labels(tmp_path, ("clip_1", "0 0.5 0.5 0.2 0.4 0.3\n"))
    run(footage, tmp_path / "run", labels)
    manifest = open_run(tmp_path / "run").manifest
    assert manifest["backend"] == "imported" and manifest["status"] == "complete"
    assert manifest["thresholds"] == {
        "floor": 0.3, "gate": 0.3, "detector": 0.3, "classifier": None
    }  # fmt: skip
    assert manifest["cascade"]["target_classes"] == ["0"]
    assert manifest["models"][0]["stage"] == "detections"
    assert all(not finding.problem for finding in verify_run(tmp_path / "run"))
    (labels / "clip_1.txt").write_text("")
    changed = [finding.name for finding in verify_run(tmp_path / "run") if finding.problem]
    assert changed == ["clip_1.txt"]


def coco_results(folder: Path) -> tuple[Path, Path]:
    """Results by id, and the file that says what the ids mean: every frame of the clip."""
    images = [
        {"id": n, "file_name": f"clip.mkv#{n}", "frame_index": n, "video_id": 1}
        for n in range(FRAMES)
    ]
    listing = {
        "videos": [{"id": 1, "file_name": "clip.mkv"}],
        "images": [*images, {"id": 99, "file_name": "still_3.jpg"}],
        "annotations": [],
        "categories": [{"id": 5, "name": "gun"}, {"id": 6, "name": "bag"}],
    }
    results = [
        {"image_id": 2, "category_id": 5, "bbox": [10, 20, 30, 40], "score": 0.8},
        {"image_id": 2, "category_id": 6, "bbox": [10, 20, 30, 40], "score": 0.4},
        {"image_id": 3, "category_id": 5, "bbox": [500, 20, 30, 40], "score": 0.4},
    ]
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "listing.json").write_text(json.dumps(listing))
    return folder / "results.json", folder / "listing.json"


def test_coco_results_with_their_listing_leave_no_frame_out(footage: Path, tmp_path: Path) -> None:
    results, listing = coco_results(tmp_path)
    done = run(
        footage, tmp_path / "run", results, listing=listing, options=ImportOptions(("gun",), 0.1)
    )
    tables = open_run(tmp_path / "run")
    rows = tables.detections.to_pylist()
    assert [(row["frame_index"], row["detector_class"]) for row in rows] == [(2, "gun"), (2, "bag")]
    assert [rows[0][name] for name in ("x_min", "x_max")] == [10, 40]
    assert tables.manifest["thresholds"]["floor"] == 0.1
    assert len(done.problems) == 1 and "results.json[2]" in done.problems[0]
    assert tables.manifest["imported"]["n_problems"] == 1


def test_ultralytics_json_of_single_frames(footage: Path, tmp_path: Path) -> None:
    box = {"x1": 1, "y1": 2, "x2": 30, "y2": 40}
    entry = {"name": "gun", "class": 0, "confidence": 0.6, "box": box}
    (tmp_path / "clip_2.json").write_text(json.dumps([entry]))
    (tmp_path / "clip_3.json").write_text("[]")
    run(footage, tmp_path / "run", tmp_path / "clip_2.json", tmp_path / "clip_3.json")
    (row,) = open_run(tmp_path / "run").detections.to_pylist()
    assert row["frame_index"] == 1 and row["x_max"] == 30


def test_evaluate_takes_an_imported_run(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, listing = coco_results(tmp_path)
    truth = json.loads(listing.read_text())
    truth["annotations"] = [{"id": 1, "image_id": 2, "category_id": 5, "bbox": [10, 20, 30, 40]}]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    files = [str(results), "--listing", str(listing), "--footage", str(footage), "--recursive"]
    out = str(tmp_path / "run")
    assert run_command_line(["import-predictions", *files, "--out", out, "--target", "gun"]) == 0
    capsys.readouterr()
    judged = ["evaluate", out, "--truth", str(tmp_path / "truth.json"), "--format", "json"]
    assert run_command_line(judged) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["denominators"]["frames_processed"] == FRAMES + 1
    assert found["arms"]["detector"]["box"]["tp"] == 1
    assert found["arms"]["detector"]["frame"]["fn"] == 0


def test_frames_without_a_word_are_an_error_unless_said(footage: Path, tmp_path: Path) -> None:
    labels = text_labels(tmp_path, ("clip_1", "0 0.5 0.5 0.2 0.4 0.3\n"))
    with pytest.raises(TruthError, match=r"clip\.mkv: no detections.*frame 1 .*--missing empty"):
        run(footage, tmp_path / "run", labels, options=ImportOptions(()))
    assert [path.name for path in tmp_path.iterdir()] == ["predict"]  # nothing is left behind


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("clip_13", "0 0.5 0.5 0.2 0.4 0.3", r"clip_13\.txt: cam/clip\.mkv has 12 frames"),
        ("clip_0", "0 0.5 0.5 0.2 0.4 0.3", r"clip_0\.txt: no still"),
        ("other_1", "0 0.5 0.5 0.2 0.4 0.3", r"other_1\.txt: no still"),
        ("clip_1", "0 0.5 0.5 0.2 0.4", r"clip_1\.txt:1: no score"),
        ("clip_1", "0 0.5 0.5 0.2 0.4 1.5", r"clip_1\.txt:1: score 1\.5"),
        ("clip_1", "0 nan 0.5 0.2 0.4 0.5", r"clip_1\.txt:1: box is 'nan'"),
        ("clip_1", "x 0.5 0.5 0.2 0.4 0.5", r"clip_1\.txt:1: class is 'x'"),
        ("clip_1", "0 0.5 0.5", r"clip_1\.txt:1: 3 values"),
        ("clip_1", "0 0.5 0.5 0.2 0.4 0.5\n1 0.5 0.5 0.2 0.4 0.5", "--target"),
        ("clip_1", "", "--target"),
    ],
)
def test_bad_text_names_the_line(name, line, message, footage: Path, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=message) as caught:
        run(footage, tmp_path / "run", text_labels(tmp_path, (name, line)))
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


ENTRY = {"image_id": "clip.mkv#1", "category_id": 0, "bbox": [0, 0, 5, 5], "score": 0.5}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "not a list of detections"),
        ([3, ENTRY], r"results\.json\[0\]: it is not an object"),
        ([ENTRY | {"image_id": 4}], r"results\.json\[0\]: its image_id is no name.*--listing"),
        ([ENTRY | {"image_id": "gone.mkv"}], "gone.mkv is not in the footage"),
        ([ENTRY | {"image_id": "still_3.jpg#2"}], "is a still"),
        ([ENTRY | {"bbox": [0, 0, 5]}], "bbox"),
        ([ENTRY | {"bbox": [0, 0, float("nan"), 5]}], "out of range"),
        ([ENTRY | {"score": None}], "score is None"),
        ([ENTRY | {"category_id": "gun"}], "category_id"),
        ([{"name": "gun", "confidence": 1, "box": {}}], r"\[0\]: x1 is None"),
        (
            [{"name": "a", "confidence": 1, "box": {"x1": 0, "y1": 0, "x2": 1, "y2": 0.5}}],
            "normalize",
        ),
    ],
)
def test_bad_json_names_the_entry(data, message, footage: Path, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(data))
    with pytest.raises(TruthError, match=message):
        run(footage, tmp_path / "run", tmp_path / "results.json")


def test_a_dotted_name_without_extension_is_not_cut_short(tmp_path: Path) -> None:
    """Roboflow calls pictures `x_jpg.rf.abc.jpg`, and results name them without `.jpg`."""
    names = ("a.jpg", "a.b.jpg", "x_jpg.rf.abc.jpg")
    (tmp_path / "footage").mkdir()
    for number, name in enumerate(names):
        write_still(tmp_path / "footage" / name, number, size=SIZE)
    inputs = find_inputs([tmp_path / "footage"], recursive=False)
    for name, found in (("a.b", "a.b.jpg"), ("x_jpg.rf.abc", names[2]), ("a.png", "a.jpg")):
        (tmp_path / "r.json").write_text(json.dumps([ENTRY | {"image_id": name}]))
        attached = attach(load_predictions([tmp_path / "r.json"]).frames, inputs)
        assert [path for path, frames in attached.items() if frames] == [found]


def test_thresholds_below_what_the_tool_kept_are_refused(footage: Path, tmp_path: Path) -> None:
    labels = text_labels(tmp_path, ("clip_1", "0 0.5 0.5 0.2 0.4 0.3\n"))
    for options, message in (
        (ImportOptions((), floor=0.4), "below the floor"),
        (ImportOptions((), threshold=0.1), "lies below the floor"),
        (ImportOptions(("gun",)), "no box is of the target class gun"),
        (ImportOptions(("0", "pistl")), "no box is of the target class pistl; there are 0"),
    ):
        with pytest.raises(TruthError, match=message):
            run(footage, tmp_path / "run", labels, options=options)


def test_a_class_that_was_not_found_is_a_target_if_it_is_declared(tmp_path: Path) -> None:
    labels = text_labels(tmp_path, ("clip_1", "0 0.5 0.5 0.2 0.4 0.3\n"))
    (labels / "classes.txt").write_text("gun\nknife\n")
    for names in (None, tmp_path / "data.yaml"):
        if names is not None:
            names.write_text("names: [gun, knife]")
        predictions = load_predictions([labels], names=names)
        found = describe_import(predictions, ImportOptions(("gun", "knife")), tmp_path, ())
        assert found["cascade"]["target_classes"] == ["gun", "knife"]


def test_a_threshold_of_nothing_is_below_no_floor_where_nothing_was_found(tmp_path: Path) -> None:
    predictions = load_predictions([text_labels(tmp_path, ("clip_1", ""))])
    found = describe_import(predictions, ImportOptions(("gun",), threshold=0.0), tmp_path, ())
    assert found["thresholds"]["detector"] == found["thresholds"]["floor"] == 0


def test_a_copy_of_a_still_with_detections_is_no_error(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    write_still(archive / "a.jpg", 3, size=SIZE)
    (archive / "b.jpg").write_bytes((archive / "a.jpg").read_bytes())
    line = "0 0.5 0.5 0.2 0.4 0.3\n"
    done = run(archive, tmp_path / "run", text_labels(tmp_path, ("a", line), ("b", line)))
    assert {row["path"] for row in done.result.media} == {"a.jpg", "b.jpg"}
    assert open_run(tmp_path / "run").detections.num_rows == 1 and not done.problems


def test_category_ids_are_not_looked_up_in_names(tmp_path: Path) -> None:
    """Ultralytics counts them from 1, so that every box would get the next class's name."""
    (tmp_path / "results.json").write_text(json.dumps([ENTRY]))
    (tmp_path / "data.yaml").write_text("names: [gun, knife]")
    with pytest.raises(TruthError, match=r"results\.json\[0\]: --names cannot say.*--listing"):
        load_predictions([tmp_path / "results.json"], names=tmp_path / "data.yaml")


@pytest.mark.parametrize("name", ["clip.mkv", "clip", "cam/clip.mkv"])
def test_a_video_named_without_a_frame_is_refused(name: str, footage: Path, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps([ENTRY | {"image_id": name}]))
    with pytest.raises(TruthError, match=r"names the video cam/clip\.mkv without a frame"):
        run(footage, tmp_path / "run", tmp_path / "results.json")


def test_an_oriented_box_becomes_the_one_around_its_corners(tmp_path: Path) -> None:
    box = {"x1": 50, "y1": 10, "x2": 54, "y2": 30, "x3": 14, "y3": 38, "x4": 10, "y4": 18}
    entry = {"name": "gun", "class": 0, "confidence": 0.9, "box": box}
    (tmp_path / "a.json").write_text(json.dumps([entry]))
    (frame,) = load_predictions([tmp_path / "a.json"]).frames
    assert [found.xyxy for found in frame.boxes] == [(10, 10, 54, 38)]


def test_an_import_overwrites_nothing(footage: Path, tmp_path: Path) -> None:
    labels = text_labels(tmp_path, ("clip_1", "0 0.5 0.5 0.2 0.4 0.3\n"))
    with pytest.raises(RunLogError, match="holds other files"):
        run(footage, tmp_path / "predict", labels)


def test_two_files_for_one_frame_are_refused(footage: Path, tmp_path: Path) -> None:
    line = "0 0.5 0.5 0.2 0.4 0.3\n"
    labels = text_labels(tmp_path, ("clip_1", line), ("clip_01", line))
    with pytest.raises(TruthError, match=r"frame 0 .* in clip_01\.txt already"):
        run(footage, tmp_path / "run", labels)


def test_damaged_footage_and_copies(footage: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    data = (footage / "cam" / "clip.mkv").read_bytes()
    (archive / "a.mkv").write_bytes(data)
    (archive / "b.mkv").write_bytes(data)
    (archive / "empty.mkv").write_bytes(b"")
    truncate(write_clip(archive / "cut.ts", frames=40), 0.5)
    line = "0 0.5 0.5 0.2 0.4 0.3\n"
    labels = text_labels(tmp_path, ("a_1", line), ("b_1", line), ("empty_1", line))
    done = run(archive, tmp_path / "run", labels)
    rows = {row["path"]: row["status"] for row in done.result.media}
    assert rows["a.mkv"] == "ok" and rows["empty.mkv"] == "unreadable"
    assert any(problem.startswith("empty.mkv: detections of 1 frames") for problem in done.problems)
    assert open_run(tmp_path / "run").detections.num_rows == 1
    (labels / "b_2.txt").write_text(line)
    with pytest.raises(ForensicsError, match="same content as a.mkv"):
        run(archive, tmp_path / "other", labels)


def test_scores_of_a_frame_are_in_order(footage: Path, tmp_path: Path) -> None:
    lines = "".join(f"0 0.5 0.5 0.2 0.4 {score}\n" for score in (0.2, 0.9, 0.4, 0.4))
    run(footage, tmp_path / "run", text_labels(tmp_path, ("clip_1", lines)))
    scores = open_run(tmp_path / "run").detections["detector_score"].to_numpy()
    assert np.all(np.diff(scores) <= 0) and len(scores) == 4
