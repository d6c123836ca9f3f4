"""What a scan writes into its log."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forensics.cascade.definition import load_cascade
from forensics.errors import CascadeError
from forensics.footage.protocol import Sampling
from forensics.runlog.reader import RunTables, open_run
from tests.support.clips import truncate, write_clip, write_still
from tests.support.decoding import decode
from tests.support.scans import IMGSZ, fingerprint, run_small_scan, small_settings

PARTS = ("frames/", "detections/")


def rows(table: pa.Table) -> list[dict[str, Any]]:
    return list(table.to_pylist())


@pytest.fixture(scope="module")
def run(reference_run: Path) -> RunTables:
    return open_run(reference_run)


def test_every_frame_has_its_row(run: RunTables, archive: Path) -> None:
    for row in rows(run.media):
        if row["kind"] == "still" or "same content" in row["reason"]:
            continue
        wanted = decode(archive / row["path"])
        found = [f for f in rows(run.frames) if f["media_id"] == row["media_id"]]
        assert [(f["frame_index"], f["pts"], f["time_s"], f["keyframe"]) for f in found] == [
            (f.index, f.pts, f.time_s, f.keyframe) for f in wanted.frames
        ]
        assert row["frames_decoded"] == len(found)


def test_counts_in_frames_agree_with_detections(run: RunTables) -> None:
    for frame in rows(run.frames):
        mine = [
            d
            for d in rows(run.detections)
            if (d["media_id"], d["frame_index"]) == (frame["media_id"], frame["frame_index"])
        ]
        assert len(mine) == frame["n_detections"] <= 2
        assert sum(d["classified"] for d in mine) == frame["n_classified"]
        assert [d["detection_index"] for d in mine] == list(range(len(mine)))
        scores = [d["detector_score"] for d in mine]
        assert scores == sorted(scores, reverse=True)
        assert {d["pts"] for d in mine} <= {frame["pts"]}


def test_the_gate_decides_who_is_classified(run: RunTables) -> None:
    gate = np.float32(0.004)
    seen = set()
    for row in rows(run.detections):
        asked = np.float32(row["detector_score"]) >= gate
        seen.add(bool(asked))
        assert row["classified"] == asked
        assert row["decided_by"] == ("classifier" if asked else "gate")
        for name in ("classifier_class", "classifier_score", "target_score", "probabilities"):
            assert (row[name] is not None) == asked, name
    assert seen == {True, False}, "the gate must cut through these detections"


def test_probabilities_are_whole(run: RunTables) -> None:
    names = run.classifier_classes
    assert names == load_cascade("handgun").classifier.classes  # type: ignore[union-attr]
    for row in rows(run.detections):
        if row["classified"]:
            vector = np.asarray(row["probabilities"], np.float32)
            assert vector.sum() == pytest.approx(1, abs=1e-6)
            assert names[int(vector.argmax())] == row["classifier_class"]
            assert np.float32(row["classifier_score"]) == vector.max()
            assert np.float32(row["target_score"]) == vector[0]


def test_boxes_lie_in_the_picture(run: RunTables) -> None:
    sizes = {row["media_id"]: (row["width"], row["height"]) for row in rows(run.media)}
    for row in rows(run.detections):
        width, height = sizes[row["media_id"]]
        assert 0 <= row["x_min"] <= row["x_max"] <= width
        assert 0 <= row["y_min"] <= row["y_max"] <= height
        assert row["detector_score"] >= np.float32(0.0001)


def test_detector_only_asks_no_classifier(archive: Path, tmp_path: Path, run: RunTables) -> None:
    run_small_scan(archive, tmp_path / "run", detector_only=True)
    alone = open_run(tmp_path / "run")
    assert alone.classifier_classes == ()
    assert alone.operating_point.classifier is None
    assert {row["decided_by"] for row in rows(alone.detections)} == {"detector"}
    for name in ("classifier_class", "classifier_score", "target_score", "probabilities"):
        assert alone.detections[name].null_count == alone.detections.num_rows
    boxes = ["media_id", "frame_index", "x_min", "y_min", "x_max", "y_max", "detector_score"]
    assert alone.detections.select(boxes).equals(run.detections.select(boxes))


@pytest.mark.parametrize("changes", [{"batch": 1}, {"batch": 7}, {"threads": 2}])
@pytest.mark.parametrize(
    ("backend", "precision"), [("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "int8")]
)
def test_batch_and_threads_do_not_change_the_log(
    tmp_path: Path, changes: dict[str, int], backend: str, precision: str
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    write_clip(folder / "a.mp4", frames=24)
    write_still(folder / "b.png", 3)
    plain = {"backend": backend, "precision": precision, "segment_s": 0.5}
    run_small_scan(folder, tmp_path / "plain", **plain)
    run_small_scan(folder, tmp_path / "other", **plain, **changes)
    assert fingerprint(tmp_path / "other") == fingerprint(tmp_path / "plain")


def test_the_segment_length_changes_parts_and_not_rows(archive: Path, tmp_path: Path) -> None:
    tables = []
    for number, length in enumerate((0.3, 60.0)):
        run_small_scan(archive, tmp_path / str(number), segment_s=length, detector_only=True)
        tables.append(open_run(tmp_path / str(number)))
    assert tables[0].frames.equals(tables[1].frames)
    assert tables[0].detections.equals(tables[1].detections)


def test_the_same_content_is_scanned_once(run: RunTables) -> None:
    by_path = {row["path"]: row for row in rows(run.media)}
    one, copy = by_path["gate/one.mp4"], by_path["yard/copy.mp4"]
    assert copy["media_id"] == one["media_id"]
    assert copy["camera_id"] == "yard"
    assert (copy["status"], copy["frames_decoded"]) == ("ok", 45)
    assert "same content as gate/one.mp4" in copy["reason"]
    frames = [f for f in rows(run.frames) if f["media_id"] == one["media_id"]]
    assert len(frames) == 45
    assert {c["path"] for c in rows(run.coverage)} == set(by_path) - {"yard/copy.mp4"}


def test_stills_are_media_of_one_frame_without_a_clock(run: RunTables) -> None:
    stills = [row for row in rows(run.media) if row["kind"] == "still"]
    assert [row["path"] for row in stills] == [f"stills/{n}.jpg" for n in range(6)]
    for row in stills:
        (frame,) = [f for f in rows(run.frames) if f["media_id"] == row["media_id"]]
        assert (frame["frame_index"], frame["pts"], frame["time_s"]) == (0, None, None)
        assert (row["width"], row["height"], row["duration_s"]) == (120, 90, None)


def test_a_broken_picture_among_good_ones(tmp_path: Path) -> None:
    folder = tmp_path / "stills"
    folder.mkdir()
    for number in range(5):
        write_still(folder / f"{number}.jpg", number, size=(320, 240))
    truncate(folder / "1.jpg", 0.6)
    (folder / "3.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    result = run_small_scan(folder, tmp_path / "run", detector_only=True)
    ends = {row["path"]: row["status"] for row in result.media}
    assert ends == {
        "0.jpg": "ok",
        "1.jpg": "partial",
        "2.jpg": "ok",
        "3.jpg": "unreadable",
        "4.jpg": "ok",
    }
    tables = open_run(tmp_path / "run")
    suspects = {row["media_id"]: row["suspect"] for row in rows(tables.frames)}
    assert [suspects.get(row["media_id"]) for row in rows(tables.media)] == [
        False,
        True,
        False,
        None,
        False,
    ]


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [(Sampling(frame_step=3), 15), (Sampling(time_step_s=0.2), 9), (Sampling(frame_step=99), 1)],
)
def test_what_sampling_leaves_out_is_on_record(
    tmp_path: Path, sampling: Sampling, kept: int
) -> None:
    clip = write_clip(tmp_path / "c.mp4", frames=45)
    run_small_scan(clip, tmp_path / "run", detector_only=True, sampling=sampling)
    tables = open_run(tmp_path / "run")
    assert tables.frames.num_rows == kept
    total = {"scanned": 0, "sampled_out": 0}
    for row in rows(tables.coverage):
        total[row["state"]] += row["n_frames"]
    assert total == {"scanned": kept, "sampled_out": 45 - kept}
    assert tables.manifest["sampling"] == asdict(sampling)


def test_growing_pictures_do_not_stop_a_scan(tmp_path: Path) -> None:
    """The ring of pictures must grow while frames of it are still being looked at."""
    folder = tmp_path / "in"
    folder.mkdir()
    sizes = [(64, 48), (320, 240), (96, 64), (640, 480)]
    parts = [
        write_clip(tmp_path / f"{n}.h264", frames=6, size=size, first=6 * n).read_bytes()
        for n, size in enumerate(sizes)
    ]
    (folder / "grows.h264").write_bytes(b"".join(parts))
    for number, size in enumerate(sizes):
        write_still(folder / f"{number}.png", number, size=size)
    result = run_small_scan(folder, tmp_path / "run", silence_s=15)
    assert {row["status"] for row in result.media} == {"ok"}
    tables = open_run(tmp_path / "run")
    assert tables.frames.num_rows == 24 + 4
    (video,) = [row for row in rows(tables.media) if row["kind"] == "video"]
    assert "picture size changes (64 x 48, 320 x 240, 96 x 64, 640 x 480)" in video["reason"]


def test_damage_is_marked_in_the_log(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mkv", frames=60, options={"crf": "18"}, size=(320, 240))
    data = bytearray(clip.read_bytes())
    start = len(data) * 2 // 5
    data[start : start + 300] = bytes(300)
    clip.write_bytes(data)
    result = run_small_scan(clip, tmp_path / "run")
    (row,) = result.media
    assert row["status"] == "partial"
    tables = open_run(tmp_path / "run")
    suspect = {f["frame_index"] for f in rows(tables.frames) if f["suspect"]}
    assert len(suspect) == row["frames_suspect"] > 0
    for detection in rows(tables.detections):
        assert detection["suspect"] == (detection["frame_index"] in suspect)


def test_run_json_says_what_ran(run: RunTables, archive: Path) -> None:
    manifest = run.manifest
    settings = small_settings()
    assert manifest["config_hash"] == settings.config_hash()
    assert manifest["status"] == "complete"
    assert manifest["base"] == str(archive)
    assert manifest["imgsz"] == IMGSZ
    assert [m["stage"] for m in manifest["models"]] == ["detector", "classifier"]
    assert [e["backend"] for e in manifest["engines"]] == ["onnxruntime"] * 2
    assert manifest["thresholds"] == settings.thresholds()
    for name in ("av", "numpy", "onnxruntime", "openvino", "python"):
        assert manifest["versions"][name]


def test_footage_is_left_as_it_was(archive: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(archive, copy)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in copy.rglob("*") if p.is_file()}
    run_small_scan(copy, tmp_path / "run", detector_only=True)
    after = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in copy.rglob("*") if p.is_file()}
    assert before == after


def test_precision_must_be_there_for_every_network_that_runs() -> None:
    cascade = load_cascade("handgun")
    files = {**cascade.detector.files, "fp16": cascade.detector.files["fp32"]}
    half = replace(cascade, detector=replace(cascade.detector, files=files))
    with pytest.raises(CascadeError, match="no fp16 models"):
        small_settings(cascade=half, precision="fp16")
    alone = small_settings(cascade=half, precision="fp16", detector_only=True)
    assert alone.config_hash() != small_settings(detector_only=True).config_hash()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"gate": float("nan")}, "gate nan"),
        ({"floor": float("nan")}, "floor nan"),
        ({"gate": 0.00001}, "gate .* below the floor"),
        ({"floor": 0.3, "gate": 0.3}, "floor .* above the cascade's operating point"),
        ({"precision": "fp16"}, "no fp16 models"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CascadeError, match=complaint):
        small_settings(**changes)
