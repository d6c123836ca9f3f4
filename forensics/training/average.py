"""Average the weights of detector trainings that went on from one another.

Weights along one training path lie in one valley of the loss, and their mean is often better than
any of them, at no cost when it is used. Source: Izmailov et al., Averaging Weights Leads to Wider
Optima and Better Generalization, UAI 2018; Wortsman et al., Model soups, ICML 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ultralytics.nn.tasks import load_checkpoint

from forensics.errors import TrainingError

KEPT = ("train_args", "version", "license", "docs")  # what ultralytics needs to open the file


def average_detectors(paths: Sequence[Path], out: Path) -> int:
    """Write the checkpoint `out` whose weights are the mean of those of `paths`.

    The parameters and the running statistics of batch normalisation are averaged in float32, counts
    are the first one's. Returns how many values were averaged. Raises TrainingError when the
    networks are not alike or a file is no checkpoint.
    """
    if len(paths) < 2:
        raise TrainingError("an average needs two checkpoints or more; give another best.pt")
    loaded = [_load(path) for path in paths]
    model, checkpoint = loaded[0]
    states = [network.state_dict() for network, _ in loaded]
    for path, (network, _), state in zip(paths[1:], loaded[1:], states[1:], strict=True):
        if network.names != model.names or _shapes(state) != _shapes(states[0]):
            raise TrainingError(
                f"{path} holds another network or other classes than {paths[0]}; average only "
                "trainings that began with the same weights"
            )
    mean = {name: _mean([state[name] for state in states]) for name in states[0]}
    model.load_state_dict(mean)
    kept = {key: checkpoint[key] for key in KEPT if key in checkpoint}
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".new")
    torch.save(kept | {"epoch": -1, "model": model.half(), "ema": None}, partial)
    partial.replace(out)
    return sum(value.numel() for value in mean.values() if value.is_floating_point())


def _load(path: Path) -> tuple[Any, dict[str, Any]]:
    if not path.is_file():  # ultralytics would look for it on the network
        raise TrainingError(f"there is no file {path}; give the best.pt of a detector training")
    try:
        model, checkpoint = load_checkpoint(path)
    except Exception as error:  # the unpickler raises anything
        raise TrainingError(
            f"{path} is no checkpoint of `train detector` ({type(error).__name__}); give a best.pt"
        ) from error
    return model.float(), checkpoint


def _shapes(state: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def _mean(values: Sequence[torch.Tensor]) -> torch.Tensor:
    if not values[0].is_floating_point():
        return values[0]
    return torch.stack([value.float() for value in values]).mean(dim=0)
