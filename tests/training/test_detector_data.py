"""Written training pictures: repeatable, split without near-duplicates, counted, never half."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from forensics.errors import TrainingError
from forensics.training import detector_data
from forensics.training.detector_data import Prepared, prepare_detector_data, prepared_before
from forensics.training.neighbours import difference_hash
from forensics.training.pictures import jpeg_bytes, near_duplicate_groups, read_picture
from forensics.training.sources import load_config

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
CONFIG = """
schema = 1
classes = ["gun"]
seed = 7
val_share = 0.2
[[source]]
name = "photos"
images = "images"
labels = "labels"
names = ["gun", "phone"]
map = { gun = "gun" }
decoys = ["phone"]
[[source]]
name = "clips"
footage = "clips"
every_s = 2.0
[compose]
grids = { 2 = 3, 3 = 2 }
pastes = 4
"""


def scene(seed: int) -> np.ndarray:
    """A blurred random field: as a picture, unlike every other."""
    noise = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for name in ("images", "labels", "clips"):
        (folder / name).mkdir()
    for number in range(60):
        (folder / "images" / f"{number:03d}.jpg").write_bytes(jpeg_bytes(scene(number), 95))
        other = "1 0.2 0.2 0.2 0.2\n" if number % 3 == 0 else ""
        (folder / "labels" / f"{number:03d}.txt").write_text(f"0 0.5 0.5 0.4 0.4\n{other}")
    for number in range(0, 60, 2):  # the same pictures again, stored worse
        (folder / "images" / f"copy-{number:03d}.jpg").write_bytes(jpeg_bytes(scene(number), 60))
        (folder / "labels" / f"copy-{number:03d}.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    (folder / "clips" / "plain.mp4").write_bytes((SAMPLE / "gate-plain.mp4").read_bytes())
    (folder / "data.toml").write_text(CONFIG)
    return folder


def prepare(root: Path, out: Path, tell: Callable[[int, int], None] = lambda *_: None) -> Prepared:
    return prepare_detector_data(load_config(root / "data.toml", root), out, tell)


@pytest.fixture(scope="module")
def prepared(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(root, tmp_path_factory.mktemp("prepared") / "data")


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "data.yaml"
    }


def test_the_same_sources_give_the_same_bytes(
    root: Path, prepared: Prepared, tmp_path: Path
) -> None:
    again = prepare(root, tmp_path / "data")
    assert files(again.folder) == files(prepared.folder)


def test_what_is_counted_is_what_lies_there(prepared: Prepared) -> None:
    for split in ("train", "val"):
        pictures = list((prepared.folder / "images" / split).glob("*.jpg"))
        labels = list((prepared.folder / "labels" / split).glob("*.txt"))
        assert {p.stem for p in pictures} == {p.stem for p in labels}
        told = sum(n for kind, n in prepared.pictures.items() if kind.startswith(split))
        assert told == len(pictures) > 0
        boxes = sum(len(path.read_text().splitlines()) for path in labels)
        assert prepared.boxes[f"{split} gun"] == boxes
    assert prepared.pictures["train grid 2x2"] == 3
    assert prepared.pictures["train grid 3x3"] == 2
    assert prepared.pictures["train paste"] == 4
    assert prepared.pictures["train footage"] >= 2


def test_labels_are_fractions_inside_the_picture(prepared: Prepared) -> None:
    for path in prepared.folder.rglob("labels/*/*.txt"):
        for line in path.read_text().splitlines():
            class_id, cx, cy, width, height = map(float, line.split())
            assert class_id == 0
            assert 0 < width <= 1 and 0 < height <= 1
            assert cx - width / 2 >= -1e-5 and cx + width / 2 <= 1 + 1e-5
            assert cy - height / 2 >= -1e-5 and cy + height / 2 <= 1 + 1e-5


def test_near_duplicates_stand_in_one_split(root: Path, prepared: Prepared) -> None:
    """By the hashes of the sources and of the written validation pictures."""
    names = [f"{n:03d}" for n in range(0, 60, 2)]
    hashes = np.array(
        [difference_hash(read_picture(root / "images" / f"{k}{n}.jpg"))
         for n in names for k in ("", "copy-")]
    )  # fmt: skip
    groups = near_duplicate_groups(hashes).reshape(-1, 2)
    assert (groups[:, 0] == groups[:, 1]).all()
    assert len(np.unique(groups)) == len(names)
    written = sorted((prepared.folder / "images" / "val").glob("*.jpg"))
    found = near_duplicate_groups(np.array([difference_hash(read_picture(p)) for p in written]))
    originals = [n for n in range(60) if n % 2 == 0]
    pairs = len(written) - len(np.unique(found))
    assert 0 < pairs <= len(originals)  # whoever has a copy brought it along


def test_a_broken_picture_is_listed_and_left_out(root: Path, tmp_path: Path) -> None:
    broken = root / "images" / "zz-broken.jpg"
    broken.write_bytes(b"\xff\xd8 no picture")
    (root / "labels" / "zz-broken.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    try:
        found = prepare(root, tmp_path / "data")
    finally:
        broken.unlink()
        (root / "labels" / "zz-broken.txt").unlink()
    with (found.folder / "problems.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert found.left_out == len(rows) == 1
    assert rows[0]["where"] == "photos/zz-broken.jpg"
    assert "not a picture" in rows[0]["what"]


def test_too_little_stops_with_counts(root: Path, tmp_path: Path) -> None:
    config = CONFIG.replace("map = { gun", "map = { phone")
    (tmp_path / "data.toml").write_text(config.replace("val_share = 0.2", "val_share = 0.6"))
    with pytest.raises(TrainingError, match=r"too few usable boxes of gun \(\d+\)"):
        prepare_detector_data(
            load_config(tmp_path / "data.toml", root), tmp_path / "out", lambda *_: None
        )
    assert not (tmp_path / "out").exists()


def test_no_validation_pictures_stop(root: Path, tmp_path: Path) -> None:
    (tmp_path / "data.toml").write_text(CONFIG.replace("val_share = 0.2", "val_share = 0.0"))
    with pytest.raises(TrainingError, match="no pictures to validate on"):
        prepare_detector_data(
            load_config(tmp_path / "data.toml", root), tmp_path / "out", lambda *_: None
        )


def test_an_interrupted_preparation_is_not_taken_for_whole(root: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(root, tmp_path / "data", stop)
    assert prepared_before(tmp_path / "data") is None
    assert prepare(root, tmp_path / "data").pictures["train paste"] == 4


def test_a_prepared_folder_is_known_again(prepared: Prepared, tmp_path: Path) -> None:
    assert prepared_before(prepared.folder) == prepared
    (tmp_path / detector_data.MANIFEST).write_text(json.dumps({"pictures": {}}))
    with pytest.raises(TrainingError, match="broken"):
        prepared_before(tmp_path)
