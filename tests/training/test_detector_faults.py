"""Detector training: configs of the wrong kind, and a training that was stopped at its very end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

import torch
from ultralytics.cfg import DEFAULT_CFG_DICT
from ultralytics.nn.tasks import DetectionModel

from forensics.errors import TrainingError
from forensics.training.fit_detector import BEST, LAST, DetectorSettings, train_detector
from forensics.training.sources import load_config

CONFIG = """
schema = 1
classes = ["gun"]
seed = 3
[[source]]
name = "photos"
images = "images"
names = ["weapon", "phone"]
map = { weapon = "gun" }
decoys = ["phone"]
[compose]
grids = { 2 = 2 }
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('classes = ["gun"]', 'classes = "gun"', "'gun' is not a list of names"),
        ("seed = 3", 'seed = "three"', "a value is not of its kind"),
        ("seed = 3", "val_share = []", "a value is not of its kind"),
        ("seed = 3", "sede = 3", "unknown keys sede"),
        ('decoys = ["phone"]', 'decoys = "phone"', "'phone' is not a list of names"),
        ('decoys = ["phone"]', 'decoys = ["fone"]', "decoys fone, not among its names"),
        ('images = "images"', "images = 7", "a value is not of its kind"),
        ("grids = { 2 = 2 }", "grid = { 2 = 2 }", "compose.: unknown keys grid"),
        ("grids = { 2 = 2 }", "grids = { two = 2 }", "a value is not of its kind"),
        ("grids = { 2 = 2 }", "grids = { 0 = 2 }", "a number is too small"),
        ("grids = { 2 = 2 }", "pastes = -1", "a number is too small"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    (tmp_path / "images").mkdir()
    path = tmp_path / "data.toml"
    path.write_text(CONFIG)
    assert load_config(path, tmp_path).classes == ("gun",)
    assert old in CONFIG
    path.write_text(CONFIG.replace(old, new))
    with pytest.raises(TrainingError, match=said) as caught:
        load_config(path, tmp_path)
    assert str(caught.value).startswith("data.toml") and "\n" not in str(caught.value)


def save(path: Path, epoch: int, recall: float) -> None:
    """A checkpoint as ultralytics leaves it: epoch -1 once the last one is over."""
    model = DetectionModel("yolo11n.yaml", nc=1, verbose=False)
    table: dict[str, Any] = {
        "epoch": epoch,
        "model": model.half(),
        "train_args": dict(DEFAULT_CFG_DICT),
        "train_metrics": {"metrics/recall(B)": recall, "val/box_loss": 1.0, "fitness": 0.1},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(table, path)


def test_a_training_stopped_after_its_last_epoch_has_its_result(tmp_path: Path) -> None:
    """Its own validation of the best weights takes a while: a kill then costs nothing."""
    save(tmp_path / LAST, -1, 0.25)
    save(tmp_path / BEST, -1, 0.75)
    (tmp_path / "results.csv").write_text("epoch,time\n1,5.0\n2,9.5\n")
    before = (tmp_path / LAST).read_bytes()
    done = train_detector(tmp_path / "none.yaml", "none.pt", tmp_path, DetectorSettings(epochs=2))
    assert (done.best, done.epochs) == (tmp_path / BEST, 2)
    assert done.metrics == {"metrics/recall(B)": 0.75}
    assert (tmp_path / LAST).read_bytes() == before


def test_a_broken_last_checkpoint_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / LAST).parent.mkdir()
    (tmp_path / LAST).write_bytes(b"half a checkpoint")
    with pytest.raises(TrainingError, match="training stopped") as caught:
        train_detector(tmp_path / "none.yaml", "none.pt", tmp_path, DetectorSettings())
    assert "\n" not in str(caught.value)
