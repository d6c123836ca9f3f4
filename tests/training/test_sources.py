"""Data set configs and their samples: what is wrong is listed with file and line, and left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forensics.errors import TrainingError
from forensics.training.pictures import jpeg_bytes
from forensics.training.sources import (
    Problems,
    Sample,
    class_counts,
    load_config,
    read_samples,
    source_footage,
)

CONFIG = """
schema = 1
classes = ["gun"]
[[source]]
name = "photos"
images = "images"
labels = "labels"
names = ["person", "weapon"]
map = { weapon = "gun" }
decoys = ["person"]
"""


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.random.default_rng(seed).integers(0, 255, (40, 60, 3), np.uint8)
    path.write_bytes(jpeg_bytes(rgb))
    return path


def label(root: Path, name: str, text: str) -> None:
    (root / "labels").mkdir(exist_ok=True)
    (root / "labels" / f"{name}.txt").write_text(text)


def read(root: Path, config: str = CONFIG) -> tuple[list[Sample], list[tuple[str, str]]]:
    path = root / "data.toml"
    path.write_text(config)
    problems = Problems()
    samples = list(read_samples(load_config(path, root), problems))
    return samples, [(item.where, item.what) for item in problems.items]


def test_labels_are_mapped_and_others_are_decoys_or_dropped(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    label(tmp_path, "a", "1 0.5 0.5 0.2 0.4\n0 0.25 0.5 0.5 1\n")
    (sample,), problems = read(tmp_path)
    assert problems == []
    np.testing.assert_allclose(sample.xyxy, [[0.4, 0.3, 0.6, 0.7]])
    assert sample.class_id.tolist() == [0]
    np.testing.assert_allclose(sample.decoy_xyxy, [[0, 0, 0.5, 1]])
    assert class_counts([sample], ["gun"]) == {"gun": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 0.5 0.5 0.2\n", "1: 4 values"),
        ("1 0.5 0.5 0.2 0.2\nx 0.5 0.5 0.2 0.2\n", "2: a value is not a number"),
        ("7 0.5 0.5 0.2 0.2\n", "1: class 7, but only 2 classes are named"),
        ("1 0.5 0.5 0 0.2\n", "a.txt:1"),
        ("1 nan 0.5 0.2 0.2\n", "a.txt:1"),
    ],
)
def test_a_bad_line_is_named_and_its_picture_left_out(
    tmp_path: Path, text: str, said: str
) -> None:
    picture(tmp_path / "images" / "a.jpg")
    picture(tmp_path / "images" / "b.jpg")
    label(tmp_path, "a", text)
    label(tmp_path, "b", "")
    samples, problems = read(tmp_path)
    assert [sample.path.name for sample in samples] == ["b.jpg"]
    assert any(said in f"{where} {what}" for where, what in problems), problems


def test_a_box_beyond_the_picture_is_clipped_and_noted(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    label(tmp_path, "a", "1 0.95 0.5 0.3 0.2\n")
    (sample,), problems = read(tmp_path)
    assert sample.xyxy[0, 2] == 1.0
    assert problems == [("photos/a.txt:1", "box reaches beyond the picture; kept as written")]


def test_pictures_and_labels_without_their_partner_are_listed(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "lonely.jpg")
    picture(tmp_path / "images" / "a.jpg")
    label(tmp_path, "a", "")
    label(tmp_path, "orphan", "1 0.5 0.5 0.2 0.2\n")
    samples, problems = read(tmp_path)
    assert [sample.path.name for sample in samples] == ["a.jpg"]
    assert ("photos/lonely.jpg", "no label file; left out") in problems
    assert ("photos/orphan.txt", "a label file without a picture") in problems


def test_patterns_leave_out_by_name_and_by_path(tmp_path: Path) -> None:
    for name in ("knife.jpg", "keep.jpg", "sub/other.jpg"):
        picture(tmp_path / "images" / name)
    config = 'schema = 1\nclasses = ["gun"]\n[[source]]\nname = "p"\nimages = "images"\n'
    samples, problems = read(tmp_path, config + 'leave_out = ["*knife*", "sub/*"]\n')
    assert [sample.path.name for sample in samples] == ["keep.jpg"]
    assert problems == []


def test_footage_is_listed_without_what_is_held_out(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "note.txt"):
        (tmp_path / "clips").mkdir(exist_ok=True)
        (tmp_path / "clips" / name).write_bytes(b"")
    path = tmp_path / "data.toml"
    path.write_text(
        'schema = 1\nclasses = ["gun"]\n[[source]]\nname = "c"\nfootage = "clips"\n'
        'leave_out = ["b.*"]\n'
    )
    (source,) = load_config(path, tmp_path).sources
    assert [file.name for file in source_footage(source)] == ["a.mp4"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("schema = 1", "schema = 2", "schema is not 1"),
        ('classes = ["gun"]', "classes = []", "classes is empty"),
        ('weapon = "gun"', 'weapon = "sword"', "maps to sword, not among the classes"),
        ('weapon = "gun"', 'pistol = "gun"', "maps pistol, not among its names"),
        ('images = "images"', 'images = "nowhere"', "no folder"),
        ('name = "photos"', 'name = "photos"\nimage = "x"', "unknown keys image"),
        ('images = "images"\n', "", "give images or footage"),
        ("[[source]]", "[source", "not valid TOML"),
    ],
)
def test_a_wrong_config_is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    picture(tmp_path / "images" / "a.jpg")
    label(tmp_path, "a", "")
    with pytest.raises(TrainingError, match=said) as caught:
        read(tmp_path, CONFIG.replace(old, new))
    assert "\n" not in str(caught.value)
