"""`export-truth`: one format into another, with sizes from a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.cli.main import run
from forensics.runlog.reader import open_run
from forensics.truth import load_truth


def truth_file(folder: Path, name: str) -> Path:
    listing = {
        "images": [
            {"id": 1, "file_name": f"{name}#0"},
            {"id": 2, "file_name": f"{name}#1"},
        ],
        "annotations": [{"id": 1, "image_id": 2, "category_id": 1, "bbox": [16, 12, 32, 24]}],
        "categories": [{"id": 1, "name": "gun"}],
    }
    path = folder / "truth.json"
    path.write_text(json.dumps(listing))
    return path


def test_sizes_and_rates_come_from_a_run(reference_run: Path, tmp_path: Path) -> None:
    truth = truth_file(tmp_path, "one.mp4")
    out = tmp_path / "md.json"
    given = ["export-truth", str(truth), "--format", "megadetector", "--out", str(out)]
    assert run([*given, "--run", str(reference_run)]) == 0
    (media,) = load_truth([out]).media
    assert media.boxes.xyxy[0] == pytest.approx([0.1, 0.1, 0.3, 0.3])
    assert json.loads(out.read_text())["images"][0]["frame_rate"] == pytest.approx(25, abs=0.1)


def test_an_open_span_ends_with_the_run_s_file(reference_run: Path, tmp_path: Path) -> None:
    spans = tmp_path / "spans.csv"
    spans.write_text("file,start_s,end_s,class\none.mp4,0.2,,gun\n")
    out = tmp_path / "actev" / "out.json"
    given = ["export-truth", str(spans), "--format", "actev", "--out", str(out)]
    assert run(given) == 1
    assert run([*given, "--run", str(reference_run)]) == 0
    (media,) = load_truth([out]).media
    rows = open_run(reference_run).media.to_pylist()
    (duration_s,) = [row["duration_s"] for row in rows if row["path"].endswith("one.mp4")]
    (span,) = [span for span in media.spans if span.label == "gun"]
    assert (span.start_s, span.end_s) == (pytest.approx(0.2), pytest.approx(duration_s, abs=0.02))


def yolo_labels(folder: Path) -> Path:
    """Pictures of the run, one of them empty, as YOLO names them: without extension."""
    labels = folder / "set" / "stills" / "labels"
    labels.mkdir(parents=True)
    (labels / "0.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    (labels / "1.txt").write_text("")
    (folder / "set" / "data.yaml").write_text("names: [gun]\n")
    (folder / "set" / "notes.txt").write_text("made by hand")
    return folder / "set"


@pytest.mark.parametrize("kind", ["coco", "voc", "megadetector", "fiftyone"])
def test_pictures_without_extension_get_the_run_s_paths(
    kind: str, reference_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    given = ["export-truth", str(yolo_labels(tmp_path)), "--format", kind, "--out", str(out)]
    assert run([*given, "--run", str(reference_run)]) == 0
    said = capsys.readouterr().err
    assert "lack their extension" not in said
    assert "notes.txt: no labels that are known here; left out" in said
    if kind == "fiftyone":  # pictures are none of its videos
        assert "stills/0.jpg: a picture is left out" in said
        return
    media = load_truth([out]).media
    assert [medium.name for medium in media] == ["stills/0.jpg", "stills/1.jpg"]
    assert all(medium.suffix_known and medium.frames.tolist() == [0] for medium in media)
    assert len(media[0].boxes) == 1


def test_a_lost_extension_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["export-truth", str(yolo_labels(tmp_path)), "--format", "megadetector"]
    assert run([*given, "--out", str(tmp_path / "out.json")]) == 0
    assert "2 names of footage lack their extension" in capsys.readouterr().err
    assert len(load_truth([tmp_path / "out.json"]).media) == 2


def test_two_names_of_one_file_are_not_written_as_two(
    reference_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(truth_file(tmp_path, "one.mp4"))]
    (tmp_path / "one.mot.txt").write_text("1,1,10,20,30,40,1,-1,-1,-1\n")
    given = [*paths, str(tmp_path / "one.mot.txt"), "--run", str(reference_run)]
    out = tmp_path / "out.json"
    assert run(["export-truth", *given, "--format", "coco", "--out", str(out)]) == 1
    assert "one and one.mp4 both mean gate/one.mp4" in capsys.readouterr().err
    assert not out.exists()


def test_without_sizes_it_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["export-truth", str(truth_file(tmp_path, "one.mp4")), "--out", str(tmp_path / "o")]
    assert run([*given, "--format", "yolo"]) == 1
    assert "give the picture's size" in capsys.readouterr().err
    assert run([*given, "--format", "cvat"]) == 0
    assert "1 files with 2 frames, 1 boxes and 0 spans" in capsys.readouterr().out
    assert len(load_truth([tmp_path / "o"]).media[0].frames) == 2
