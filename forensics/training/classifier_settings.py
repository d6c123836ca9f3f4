"""How a classifier is trained: settings, and what they mean for network and optimiser."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from forensics.errors import TrainingError
from forensics.training.backbone import LITE0
from forensics.training.classifier_model import IMAGENET, RANDOM, head_names

WARM_UP, LAST_RATE = 0.05, 0.01  # share of the steps; share of the rate at the end
BACKBONE_RATE = 0.1  # of the head's, where the backbone has learned something already
PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """`lr` is the last layer's; `freeze_epochs`: so long only the last layer learns.

    `balance` 1 shows all classes equally often, 0 as often as there are crops. `average`: decay
    per step of a running average of the weights, which is then what is kept; 0 is none. `patience`:
    epochs without a better validation before the run ends. `imgsz`: side of the network's input,
    0 that of the crops; `padding` likewise, a smaller one being the crops' middle. `teacher`: a
    cascade whose classifier's answers are learned instead of the labels; "" is none.
    """

    model: str = LITE0
    weights: str = IMAGENET
    epochs: int = 20
    batch: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    freeze_epochs: int = 1
    patience: int = 6
    balance: float = 1.0
    average: float = 0.0
    colour: str = "rgb"
    imgsz: int = 0
    padding: float = 0.0
    teacher: str = ""
    seed: int = 0
    device: str = "cpu"
    precision: str = "auto"
    threads: int = 1

    def asked(self) -> dict[str, Any]:
        """What must be the same for a run to go on; the number of threads need not be."""
        return {k: v for k, v in asdict(self).items() if k != "threads"}


def resolve_precision(precision: str, device: str) -> str:
    """bf16 where the processor computes in it natively, else fp32. Raises TrainingError."""
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("there is no usable CUDA device; give --device cpu")
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "fp32"


def make_optimiser(model: torch.nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW; vectors (biases, norms) do not decay; each group knows its share of the rate.

    A backbone that learns to do with less than it was made for has as much to learn as the head.
    """
    head = head_names(model)
    slow = 1.0 if settings.weights == RANDOM or settings.teacher else BACKBONE_RATE
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, value in model.named_parameters():
        decay = settings.weight_decay if value.ndim > 1 else 0.0
        groups.setdefault((1.0 if name in head else slow, decay), []).append(value)
    return torch.optim.AdamW(
        [{"params": p, "share": s, "weight_decay": d} for (s, d), p in groups.items()],
        lr=settings.lr,
    )


def rate_at(step: int, total: int) -> float:
    """Share of the learning rate: a short linear rise, then half a cosine."""
    rise = max(1, round(WARM_UP * total))
    if step < rise:
        return (step + 1) / rise
    way = (step - rise) / max(1, total - rise)
    return LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * way))


def set_mode(
    model: torch.nn.Module, *, frozen: bool, keep_statistics: bool = False
) -> None:
    """Training mode; with `frozen`, the backbone keeps its weights and its batch statistics.

    `keep_statistics`: those it keeps anyway, and does not normalise by the batch's.
    """
    head = head_names(model)
    for name, value in model.named_parameters():
        value.requires_grad_(name in head or not frozen)
    model.train()
    if frozen:
        outside = {name.rpartition(".")[0] for name in head}
        for name, module in model.named_modules():
            if name and name not in outside:
                module.eval()
    if keep_statistics:
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()


def follow(
    average: dict[str, torch.Tensor], model: torch.nn.Module, decay: float, step: int
) -> None:
    """Move the running average towards the weights; early steps count more."""
    keep = min(decay, (1 + step) / (10 + step))
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value.detach(), 1 - keep)
        else:
            average[name].copy_(value)
