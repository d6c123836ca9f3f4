"""The bundled ImageNet weights are in their places: the network still knows what it knew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("timm", reason="the extra `train` is not installed")

import torch
import ultralytics

from forensics.errors import TrainingError
from forensics.footage.grab import grab_frames
from forensics.training import backbone

# ImageNet: minibus, school bus, trolley bus, police van (what a bus may be taken for)
BUSES = {654, 779, 874, 734}


@pytest.fixture(scope="module")
def bus() -> np.ndarray:
    """A street with a bus: uint8 RGB (1, 224, 224, 3)."""
    import cv2

    path = Path(ultralytics.__file__).parent / "assets" / "bus.jpg"
    rgb = dict(grab_frames(path, [0]))[0]
    return cv2.resize(rgb[150:850], (224, 224), interpolation=cv2.INTER_AREA)[None]


def test_the_renamed_weights_recognise_a_bus(bus: np.ndarray) -> None:
    model = backbone.load_imagenet_lite0()
    pixels = (torch.from_numpy(bus).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        best = model(pixels)[0].topk(1).indices
    assert set(best.tolist()) <= BUSES


def test_features_lead_to_the_same_logits(bus: np.ndarray) -> None:
    model = backbone.load_imagenet_lite0()
    features = torch.from_numpy(backbone.embed(model, bus))
    pixels = (torch.from_numpy(bus).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        torch.testing.assert_close(model.classifier(features), model(pixels))


@pytest.mark.parametrize("content", [b"no weights", b""])
def test_damaged_weights_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    monkeypatch.setattr(backbone, "_weights_path", lambda: path)
    with pytest.raises(TrainingError, match="install it again"):
        backbone.load_imagenet_lite0()
