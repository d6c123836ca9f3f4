"""What a file is, and what its labels mean, may hang on where it lies: however that is spelt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forensics.errors import TruthError
from forensics.truth import WRITERS, load_truth
from forensics.truth.base import MediaBuilder, Truth
from tests.truth.test_readers import write

BOX = "0 0.5 0.5 0.2 0.2\n"
ROW = "1,1,10,20,30,40,1,2,1\n"


def names(truth: Truth) -> list[str]:
    return [Path(media.name).name for media in truth.media]


def test_a_picture_may_be_called_like_prose(tmp_path: Path) -> None:
    for name in ("source_001", "noticeboard", "SOURCE"):
        write(tmp_path, f"labels/{name}.txt", BOX)
    write(tmp_path, "labels/copying.txt", "")
    write(tmp_path, "labels/README.txt", "made by hand")
    truth = load_truth([tmp_path])
    assert set(names(truth)) == {"source_001", "noticeboard", "SOURCE", "copying"}
    assert truth.skipped == ("labels/README.txt",)


@pytest.mark.parametrize("kind", [None, "yolo"])
def test_roboflow_s_readme_is_left_out(kind: str | None, tmp_path: Path) -> None:
    write(tmp_path, "README.dataset.txt", "# set > v1\nhttps://example.org\n")
    write(tmp_path, "README.roboflow.txt", "")
    write(tmp_path, "data.yaml", "names: [gun]")
    write(tmp_path, "train/labels/a.txt", BOX)
    truth = load_truth([tmp_path], kind)
    assert names(truth) == ["a"] and truth.classes == ("gun",)
    assert truth.skipped == ("README.dataset.txt", "README.roboflow.txt")


@pytest.mark.parametrize("spelt", [".", "b.txt", "../labels", "../../train/labels/b.txt"])
def test_an_empty_label_file_is_one_however_its_path_is_spelt(
    spelt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "train/labels/b.txt", "")
    monkeypatch.chdir(tmp_path / "train" / "labels")
    (media,) = load_truth([spelt]).media
    assert media.name == (tmp_path / "train" / "images" / "b").as_posix()
    assert media.frames.tolist() == [0]


def test_an_empty_text_is_yolo_beside_its_picture_or_beside_yolo(tmp_path: Path) -> None:
    write(tmp_path, "one/a.txt", "")
    write(tmp_path, "one/a.jpg", b"")
    write(tmp_path, "two/a.txt", "")
    write(tmp_path, "two/b.txt", BOX)
    write(tmp_path, "three/a.txt", "")
    write(tmp_path, "three/b.txt", "notes")
    truth = load_truth([tmp_path])
    assert truth.sources == ("one/a.txt", "two/a.txt", "two/b.txt")
    assert truth.skipped == ("three/a.txt", "three/b.txt")


def test_mot_below_a_folder_of_labels_is_mot(tmp_path: Path) -> None:
    write(tmp_path, "labels/clip.txt", ROW)
    (media,) = load_truth([tmp_path]).media
    assert (media.name, media.normalised) == ("clip", False)


@pytest.mark.parametrize(
    ("here", "spelt"), [("S/gt", "gt.txt"), ("S/gt", "."), ("S", "gt/gt.txt"), ("S/gt", "..")]
)
def test_a_sequence_is_the_same_however_its_path_is_spelt(
    here: str, spelt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "S/gt/labels.txt", "gun\nknife\n\n")
    write(tmp_path, "S/gt/gt.txt", ROW)
    monkeypatch.chdir(tmp_path / here)
    for kind in (None, "mot"):
        (media,) = load_truth([spelt], kind).media
        assert (media.name, media.boxes.label) == ("S", ("knife",))


def test_a_blank_line_among_mot_s_classes_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "S/gt/labels.txt", "gun\n\nknife\n")
    with pytest.raises(TruthError, match=r"labels\.txt:2: a class without a name"):
        load_truth([write(tmp_path, "S/gt/gt.txt", ROW)])


def test_class_names_come_from_no_folder_too_high(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "classes.txt", "WRONG\n")
    write(tmp_path, "set/top/labels/a.txt", BOX)
    write(tmp_path, "here/classes.txt", "WRONG\n")
    assert load_truth([tmp_path / "set" / "top"]).classes == ("0",)
    monkeypatch.chdir(tmp_path / "here")
    assert load_truth([os.path.join("..", "set", "top")]).classes == ("0",)
    write(tmp_path, "set/classes.txt", "gun\n")
    assert load_truth([os.path.join("..", "set", "top")]).classes == ("gun",)


@pytest.mark.parametrize("kind", [None, "fiftyone"])
def test_video_labels_may_be_called_like_a_part_of_a_data_set(
    kind: str | None, tmp_path: Path
) -> None:
    labels = {"filename": "clip.mp4", "frames": {"1": {"objects": {"objects": []}}}}
    write(tmp_path, "clip_frames.json", labels)
    assert names(load_truth([tmp_path], kind)) == ["clip.mp4"]


@pytest.mark.parametrize("name", ["classes.jpg", "x/classes.png", "labels/a.jpg"])
def test_yolo_is_not_written_where_it_would_be_misread(name: str, tmp_path: Path) -> None:
    builder = MediaBuilder(name, "t", normalised=True)
    builder.add_box(0, (0.1, 0.1, 0.5, 0.5), "gun", "")
    with pytest.raises(TruthError, match="readers of YOLO take for something else"):
        WRITERS["yolo"](Truth((builder.build(),)), tmp_path / "out")
