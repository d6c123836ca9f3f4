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


def test_without_sizes_it_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["export-truth", str(truth_file(tmp_path, "one.mp4")), "--out", str(tmp_path / "o")]
    assert run([*given, "--format", "yolo"]) == 1
    assert "give the picture's size" in capsys.readouterr().err
    assert run([*given, "--format", "cvat"]) == 0
    assert "1 files with 2 frames, 1 boxes and 0 spans" in capsys.readouterr().out
    assert len(load_truth([tmp_path / "o"]).media[0].frames) == 2
