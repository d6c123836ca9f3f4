"""What a classifier is trained towards: the labels of its crops, or a larger network's answers."""

from __future__ import annotations

from typing import Any, Protocol

import onnx
import torch

from forensics.backends import Engine, open_engine, resolve_backend
from forensics.cascade.definition import ClassifierSpec, load_cascade
from forensics.errors import TrainingError
from forensics.training.classifier_settings import TrainSettings
from forensics.training.examples import Examples
from forensics.types import ImageArray

TEMPERATURE = 2.0


class Criterion(Protocol):
    """`loss` of logits (b, classes) on augmented crops, uint8 (b, side, side, 3), as they were
    cut, with class numbers `labels` int64 (b,): a scalar tensor."""

    def loss(self, logits: Any, crops: ImageArray, labels: Any) -> Any: ...


class LabelCriterion:
    """Cross-entropy with smoothed labels."""

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing

    def loss(self, logits: Any, crops: ImageArray, labels: Any) -> Any:
        return torch.nn.functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)


class TeacherCriterion:
    """T^2 KL(teacher || student) of softmax(logits / T), T = 2: distillation (Hinton et al. 2015).

    The teacher, a cascade's classifier, sees the same augmented crop at its own size. What it says
    of crops that are no clear case is most of what there is to learn.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def loss(self, logits: Any, crops: ImageArray, labels: Any) -> Any:
        said = torch.from_numpy(self._engine.infer(crops)).to(logits.device)
        wanted, found = (
            torch.log_softmax(values / TEMPERATURE, dim=1) for values in (said, logits)
        )
        apart = torch.nn.functional.kl_div(found, wanted, reduction="batchmean", log_target=True)
        return TEMPERATURE**2 * apart


def open_criterion(settings: TrainSettings, examples: Examples) -> Criterion:
    """The criterion that `settings` ask for. Raises TrainingError, CascadeError, BackendError."""
    if not settings.teacher:
        return LabelCriterion(settings.label_smoothing)
    spec = _teacher(settings.teacher)
    _check_teacher(spec, settings, examples)
    model = spec.files["fp32"].load("fp32", spec.imgsz)
    backend, _ = resolve_backend("auto")
    return TeacherCriterion(
        open_engine(backend, model, spec.normalisation, threads=settings.threads)
    )


def teacher_graph(settings: TrainSettings) -> onnx.ModelProto:
    """The teacher's FP32 network. Raises TrainingError, CascadeError."""
    if not settings.teacher:
        raise TrainingError("--weights teacher: give --teacher too")
    spec = _teacher(settings.teacher)
    return onnx.load_from_string(spec.files["fp32"].load("fp32", spec.imgsz).data)


def teacher_named(settings: TrainSettings) -> str:
    """Which cascade teaches, for the record; empty where none does."""
    if not settings.teacher:
        return ""
    cascade = load_cascade(settings.teacher)
    return f"{cascade.name} {cascade.version}, SHA-256 {cascade.sha256}"


def classes_of(teacher: str) -> tuple[str, ...]:
    """The classes that a cascade's classifier tells apart. Raises TrainingError, CascadeError."""
    return _teacher(teacher).classes


def _teacher(name: str) -> ClassifierSpec:
    cascade = load_cascade(name)
    if cascade.classifier is None:
        raise TrainingError(f"the cascade {cascade.name} has no classifier to learn from")
    return cascade.classifier


def _check_teacher(spec: ClassifierSpec, settings: TrainSettings, examples: Examples) -> None:
    rule = examples.rule
    if spec.classes != examples.classes:
        raise TrainingError(
            f"the teacher's classes are {', '.join(spec.classes)}, the crops' "
            f"{', '.join(examples.classes)}; give --class-map"
        )
    if (rule.imgsz, rule.padding, rule.min_side) != (spec.imgsz, spec.padding, spec.min_side):
        raise TrainingError(
            f"the crops are of {rule.words()}, and the teacher takes others ({spec.imgsz} px, "
            f"padding {spec.padding:g}, at least {spec.min_side} px); mine with its cascade"
        )
    if spec.grey != (settings.colour == "grey"):
        colour = "grey" if spec.grey else "rgb"
        raise TrainingError(f"the teacher looks at {colour} crops; give --colour {colour}")
