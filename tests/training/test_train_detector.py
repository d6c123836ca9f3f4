"""A real, tiny detector training: it learns nothing much, but ends, goes on, and says why not."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

import torch

from forensics.training.pictures import jpeg_bytes
from tests.training.test_detector_data import scene

CONFIG = """
schema = 1
classes = ["gun"]
seed = 7
val_share = 0.2
[[source]]
name = "photos"
images = "images"
labels = "labels"
names = ["gun"]
map = { gun = "gun" }
[compose]
grids = { 2 = 2 }
[train]
imgsz = 64
batch = 8
epochs = 3
workers = 0
"""
EPOCHS = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for number in range(40):
        rgb = scene(number)
        rgb[40:80, 50:110] = 0
        (folder / "images" / f"{number:03d}.jpg").write_bytes(jpeg_bytes(rgb))
        (folder / "labels" / f"{number:03d}.txt").write_text("0 0.5 0.5 0.375 0.3333\n")
    (folder / "data.toml").write_text(CONFIG)
    return folder


def command(root: Path, out: Path, *more: str) -> list[str]:
    weights = () if "--weights" in more else ("--weights", "yolo11n.yaml")
    base = [sys.executable, "-m", "forensics.cli.main", "train", "detector"]
    return [*base, str(root / "data.toml"), "--data-root", str(root), "--out", str(out),
            "--threads", "1", *weights, *more]  # fmt: skip


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"YOLO_OFFLINE": "true"}
    return subprocess.run(
        arguments, capture_output=True, text=True, check=False, env=environment
    )


def epochs(out: Path) -> list[int]:
    with (out / "results.csv").open(newline="") as stream:
        return [int(row["epoch"]) for row in csv.DictReader(stream)]


def test_a_killed_training_goes_on_after_its_last_epoch(root: Path, tmp_path: Path) -> None:
    """Then it ends, and the same command again says how, without training."""
    out = tmp_path / "fit"
    child = subprocess.Popen(
        command(root, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    last = out / "weights" / "last.pt"
    deadline = time.monotonic() + 300
    while not last.is_file() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert last.is_file(), "no epoch was finished"
    first = (out / "results.csv").read_text().splitlines()[1]
    done = run(*command(root, out))
    assert done.returncode == 0, done.stderr
    assert epochs(out) == list(range(1, EPOCHS + 1))
    assert (out / "results.csv").read_text().splitlines()[1] == first  # not trained anew
    assert (out / "weights" / "best.pt").is_file()
    assert f"after {EPOCHS} epochs" in done.stdout
    changed = last.stat().st_mtime_ns
    again = run(*command(root, out))
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-3:] == done.stdout.splitlines()[-3:]
    assert last.stat().st_mtime_ns == changed


def test_another_config_in_the_same_folder_is_refused(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit"
    first = run(*command(root, out, "--prepare-only"))
    assert first.returncode == 0, first.stderr
    assert "train whole" in first.stdout
    other = tmp_path / "other.toml"
    other.write_text(CONFIG.replace("seed = 7", "seed = 8"))
    arguments = [str(other) if a == str(root / "data.toml") else a for a in command(root, out)]
    second = run(*arguments)
    assert second.returncode == 1
    assert "was begun with another other.toml" in second.stderr


def test_weights_that_are_none_end_in_one_line(root: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"no weights at all")
    done = run(*command(root, tmp_path / "fit", "--weights", str(weights)))
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "--weights" in errors[0]


def test_half_work_keeps_the_loss_in_single_precision() -> None:
    from types import SimpleNamespace

    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    from forensics.training.fit_detector import _half_work

    if not torch.cpu._is_avx512_bf16_supported():
        pytest.skip("this processor has no bfloat16")
    torch.manual_seed(0)
    model = DetectionModel("yolo11n.yaml", nc=1, verbose=False).train()
    model.args = get_cfg()
    batch = {
        "img": torch.rand(2, 3, 64, 64),
        "cls": torch.zeros(2, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.4, 0.4, 0.3, 0.3]]),
        "batch_idx": torch.tensor([0.0, 1.0]),
    }
    plain = model(batch)[0].sum()
    _half_work(SimpleNamespace(device=torch.device("cpu"), model=model))
    half = model(batch)[0].sum()
    half.backward()
    assert half.dtype == torch.float32
    assert np.isclose(half.item(), plain.item(), rtol=0.2)  # the targets given to cells differ
    assert half.item() != plain.item()  # it did compute otherwise
