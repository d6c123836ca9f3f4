"""What a training run needs to go on after a kill: one file of tensors, replaced whole.

FIT/last.safetensors holds network, optimiser and running average; the rest (epoch, figures, best)
is text in the same file's header, so that the two can never disagree. FIT/last.json repeats that
text for people. There is no generator state to keep: everything random follows from seed and epoch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from forensics.errors import TrainingError
from forensics.runlog.writer import write_bytes, write_json

LAST, LAST_TEXT = "last.safetensors", "last.json"
Tensors = dict[str, torch.Tensor]


@dataclass(slots=True)
class Standing:
    """Where a run stands: `epoch` epochs are done, `best_epoch` is kept, `rows` is the log.

    `asked`: settings and data of the run; another command may not go on with it.
    """

    asked: dict[str, Any]
    start: str = ""
    epoch: int = 0
    best_epoch: int = 0
    best: list[float] = field(default_factory=list)
    finished: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)


def save_state(
    folder: Path,
    standing: Standing,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    average: Tensors,
) -> None:
    """Replace the state of the run."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for number, kept in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{key}": value for key, value in kept.items()}
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = asdict(standing)
    write_bytes(save(plain, metadata={"state": json.dumps(text)}), folder / LAST)
    write_json(text, folder / LAST_TEXT)


def read_standing(folder: Path) -> Standing | None:
    """Where the run in a folder stands; None when none was begun. Raises TrainingError."""
    path = folder / LAST
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return Standing(**json.loads(file.metadata()["state"]))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} is damaged or of another version ({error}); remove it and train again"
        ) from error


def load_state(
    folder: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> Tensors:
    """Put network and optimiser where they were; return the running average."""
    kept: dict[str, Tensors] = {"model": {}, "average": {}, "optimiser": {}}
    try:
        with safe_open(folder / LAST, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                part, _, rest = name.partition(".")
                kept[part][rest] = file.get_tensor(name)
        model.load_state_dict(kept["model"], strict=True)
        _load_optimiser(optimiser, kept["optimiser"])
    except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"{folder / LAST} is damaged or of another model ({error}); remove it and train again"
        ) from error
    return kept["average"]


def _load_optimiser(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    state: dict[int, Tensors] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
