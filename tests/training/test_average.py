"""Averaged checkpoints: the mean, a file that ultralytics opens, and refusals."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics import YOLO
from ultralytics.nn.tasks import load_checkpoint

from forensics.cli.main import run
from forensics.errors import TrainingError
from forensics.training.average import average_detectors

MODELS = Path(os.environ.get("FORENSICS_MODELS", Path(__file__).parents[3] / "shared" / "models"))
CHECKPOINT = MODELS / "handgun-baseline" / "detector.pt"
COCO = MODELS / "yolo11n-coco.pt"
pytestmark = pytest.mark.skipif(
    not CHECKPOINT.is_file(), reason="no baseline (set FORENSICS_MODELS)"
)


def state_of(path: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_checkpoint(path)[0].float().state_dict()
    return state


def shifted(path: Path, by: float) -> Path:
    """The baseline with `by` added to every weight of its first convolution."""
    model, checkpoint = load_checkpoint(CHECKPOINT)
    model.model[0].conv.weight.data += by
    torch.save(checkpoint | {"model": model.half(), "ema": None}, path)
    return path


def test_the_mean_lies_between(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other, out = shifted(tmp_path / "other.pt", 0.5), tmp_path / "mean.pt"
    assert run(["train", "average", str(CHECKPOINT), str(other), "--out", str(out)]) == 0
    assert "mean of 2 checkpoints" in capfd.readouterr().out
    first, mean = state_of(CHECKPOINT), state_of(out)
    name = "model.0.conv.weight"
    torch.testing.assert_close(mean[name], first[name] + 0.25, atol=2e-3, rtol=1e-3)
    rest = {key for key in first if key != name}
    assert all(torch.equal(mean[key], first[key]) for key in rest)
    assert YOLO(str(out)).names == {0: "gun"}


def test_networks_that_are_not_alike_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"PK\x03\x04 no checkpoint")
    faults: list[tuple[list[Path], Any]] = [
        ([CHECKPOINT, COCO], "other classes"),
        ([CHECKPOINT, broken], "no checkpoint"),
        ([CHECKPOINT], "two checkpoints"),
        ([CHECKPOINT, tmp_path / "none.pt"], "no file"),
    ]
    for paths, says in faults:
        with pytest.raises(TrainingError, match=says):
            average_detectors(paths, tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()
