"""A classifier that learns from another one's answers, at a smaller input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from forensics.backends import Engine, open_engine
from forensics.cascade.definition import load_cascade
from forensics.errors import TrainingError
from forensics.training.batches import middle, plain_batches
from forensics.training.classifier_model import load_fit
from forensics.training.criteria import TeacherCriterion, classes_of, open_criterion
from forensics.training.examples import Examples, gather
from forensics.training.onnx_files import classifier_from_fit
from forensics.training.scores import logits_of
from forensics.training.train_classifier import train_classifier
from tests.support.crops import QUICK_TRAINING, SHAPES, write_crops

TEACHER = load_cascade("handgun")
SPEC = TEACHER.classifier
assert SPEC is not None
SIDE = SPEC.imgsz
RULE = {"imgsz": SIDE, "padding": SPEC.padding, "min_side": SPEC.min_side}
SMALL = replace(
    QUICK_TRAINING,
    epochs=8,
    lr=0.003,
    colour="grey",
    imgsz=48,
    teacher="handgun",
    precision="fp32",
)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    folder = tmp_path_factory.mktemp("crops")
    write_crops(folder, dict.fromkeys(SHAPES, (16, 8)), rule=RULE)
    no_cups = {"cup": "bag"}  # which the teacher knows
    return gather([folder], ["gun"], no_cups, classes=classes_of("handgun"))


def test_the_loss_is_the_divergence_from_the_teacher(examples: Examples) -> None:
    assert SPEC is not None
    criterion = open_criterion(SMALL, examples)
    assert isinstance(criterion, TeacherCriterion)
    rng = np.random.default_rng(2)
    crops = rng.integers(0, 256, (3, SPEC.imgsz, SPEC.imgsz, 3), dtype=np.uint8)
    said = teacher().infer(crops).astype(float)
    found = rng.normal(size=said.shape)
    p, q = log_softmax(said / 2, axis=1), log_softmax(found / 2, axis=1)
    expected = 4 * (np.exp(p) * (p - q)).sum(axis=1).mean()
    labels = torch.zeros(3, dtype=torch.long)
    loss = criterion.loss(torch.tensor(found), crops, labels)
    assert loss.item() == pytest.approx(expected, rel=1e-3)
    same = criterion.loss(torch.tensor(said), crops, labels)
    assert same.item() == pytest.approx(0, abs=1e-5)


def test_a_student_learns_what_the_teacher_says(examples: Examples, tmp_path: Path) -> None:
    """Not what the labels say: these shapes are no phones or bags to the teacher."""
    meta = train_classifier(examples, SMALL, tmp_path / "fit")
    assert (meta.imgsz, meta.crop_rule.imgsz) == (48, SIDE)
    assert meta.crop_spec().imgsz == 48
    assert TEACHER.sha256 in meta.settings["teacher"]
    model, _ = load_fit(tmp_path / "fit")
    views = plain_batches(examples.val, replace(meta, imgsz=SIDE), batch=8, workers=1)
    crops = np.concatenate(list(views))
    said = teacher().infer(crops)
    found = logits_of(model, meta, examples.val)
    apart = np.abs(log_softmax(said, axis=1) - log_softmax(found, axis=1)).mean()
    unlearned = np.abs(log_softmax(said, axis=1) - np.log(1 / 5)).mean()
    assert apart < 0.75 * unlearned
    small = np.stack([middle(crop, 1.0, 48) for crop in crops[:2]])
    graph, _ = classifier_from_fit(tmp_path / "fit", small)
    assert graph.graph.input[0].type.tensor_type.shape.dim[2].dim_value == 48


def teacher() -> Engine:
    """Another engine than training takes."""
    assert SPEC is not None
    model = SPEC.files["fp32"].load("fp32", SPEC.imgsz)
    return open_engine("onnxruntime", model, SPEC.normalisation)


def test_what_does_not_fit_the_teacher_is_refused(examples: Examples, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="give --colour grey"):
        open_criterion(replace(SMALL, colour="rgb"), examples)
    with pytest.raises(TrainingError, match=r"the teacher's classes are gun, cell_phone"):
        open_criterion(SMALL, replace(examples, classes=("gun", "other")))
    with pytest.raises(TrainingError, match="mine with its cascade"):
        open_criterion(SMALL, replace(examples, rule=replace(examples.rule, padding=2.0)))
    with pytest.raises(TrainingError, match="too few for --imgsz 999"):
        train_classifier(examples, replace(SMALL, imgsz=999), tmp_path / "large")
    with pytest.raises(TrainingError, match="too little for --padding 2"):
        train_classifier(examples, replace(SMALL, padding=2.0), tmp_path / "wide")
