"""An exported network that is trained on: BatchNorm put back."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from forensics.cascade.definition import load_cascade
from forensics.errors import TrainingError
from forensics.training.classifier_model import META, create_classifier, load_fit
from forensics.training.classifier_settings import TrainSettings, set_mode
from forensics.training.criteria import classes_of
from forensics.training.examples import Examples, gather
from forensics.training.onnx_files import run_graph
from forensics.training.train_classifier import train_classifier
from forensics.training.unfold import take_network
from tests.support.crops import SHAPES, write_crops

SPEC = load_cascade("handgun").classifier
assert SPEC is not None
LITE0 = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def graph() -> onnx.ModelProto:
    assert SPEC is not None
    return onnx.load_from_string(SPEC.files["fp32"].load("fp32", SPEC.imgsz).data)


def test_the_network_is_the_same(graph: onnx.ModelProto) -> None:
    """In training as well, where statistics are kept."""
    assert SPEC is not None
    model = create_classifier(LITE0, len(SPEC.classes))
    take_network(model, graph)
    generator = torch.Generator().manual_seed(3)
    some = torch.randn(3, 3, SPEC.imgsz, SPEC.imgsz, generator=generator)
    expected = run_graph(graph, some.numpy())
    set_mode(model, frozen=False, keep_statistics=True)
    model.drop_rate = 0.0  # type: ignore[assignment]
    found = model(some)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-4)
    found.sum().backward()
    assert all(value.grad is not None for value in model.parameters())
    assert all(
        norm.running_mean is not None and not norm.running_mean.any()
        for norm in model.modules()
        if isinstance(norm, torch.nn.BatchNorm2d)
    )


def test_another_network_is_refused(graph: onnx.ModelProto) -> None:
    with pytest.raises(TrainingError, match="another network than --model"):
        take_network(create_classifier("test_efficientnet", 5), graph)
    with pytest.raises(TrainingError, match="another network than --model"):
        take_network(create_classifier(LITE0, 4), graph)


SETTINGS = TrainSettings(
    weights="teacher",
    teacher="handgun",
    epochs=1,
    batch=8,
    lr=1e-4,
    freeze_epochs=0,
    colour="grey",
    imgsz=64,
    precision="fp32",
)


@pytest.fixture
def crops(tmp_path: Path) -> Examples:
    assert SPEC is not None
    rule = {"imgsz": SPEC.imgsz, "padding": SPEC.padding, "min_side": SPEC.min_side}
    write_crops(tmp_path / "crops", dict.fromkeys(SHAPES, (8, 4)), rule=rule)
    return gather([tmp_path / "crops"], ["gun"], {"cup": "bag"}, classes=classes_of("handgun"))


def test_a_student_begins_as_its_teacher(crops: Examples, tmp_path: Path) -> None:
    meta = train_classifier(crops, SETTINGS, tmp_path / "fit")
    assert meta.settings["start"] == "weights of the teacher"
    train_classifier(crops, replace(SETTINGS, weights="none"), tmp_path / "noise")
    begins, first = log_of(tmp_path / "fit")
    assert (begins["epoch"], begins["train_loss"], first["epoch"]) == ("0", "", "1")
    assert float(first["train_loss"]) < 0.5 * float(log_of(tmp_path / "noise")[0]["train_loss"])


def log_of(fit: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((fit / "log.csv").read_text().splitlines()))


def test_a_teacher_at_another_size_without_training(
    crops: Examples, graph: onnx.ModelProto, tmp_path: Path
) -> None:
    meta = train_classifier(crops, replace(SETTINGS, epochs=0), tmp_path / "fit")
    assert (meta.imgsz, meta.metrics["epochs"], meta.metrics["best_epoch"]) == (64, 0, 0)
    assert [row["kept"] for row in log_of(tmp_path / "fit")] == ["True"]
    its_own = create_classifier(LITE0, len(meta.classes))
    take_network(its_own, graph)
    kept = load_fit(tmp_path / "fit")[0].state_dict()
    assert all(torch.equal(kept[name], value) for name, value in its_own.state_dict().items())
    begun = (tmp_path / "fit" / META).read_bytes()
    train_classifier(crops, replace(SETTINGS, epochs=0), tmp_path / "fit")
    assert (tmp_path / "fit" / META).read_bytes() == begun


def test_only_a_teacher_has_something_to_begin_as(crops: Examples, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--epochs 0 is for --weights teacher"):
        train_classifier(crops, replace(SETTINGS, weights="none", epochs=0), tmp_path / "fit")
    with pytest.raises(TrainingError, match="give --teacher too"):
        train_classifier(crops, replace(SETTINGS, teacher=""), tmp_path / "fit")
