"""Training the second network: it learns, repeats itself to the bit, survives a kill, and stops."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load

from forensics.cli.main import run
from forensics.errors import TrainingError
from forensics.training.batches import epoch_order, to_input
from forensics.training.calibrate import calibrate_fit
from forensics.training.classifier_model import (
    WEIGHTS,
    FitMeta,
    create_classifier,
    head_names,
    load_fit,
    read_meta,
    start_from,
)
from forensics.training.classifier_settings import (
    TrainSettings,
    make_optimiser,
    rate_at,
    set_mode,
)
from forensics.training.crops import decode_picture
from forensics.training.examples import gather
from forensics.training.scores import at_false_acceptance, confusion_matrix, measure
from forensics.training.train_classifier import train_classifier
from tests.support.crops import (
    QUICK_TRAINING,
    RULE,
    SHAPES,
    draw,
    write_crops,
    write_png,
    write_table,
)
from tests.support.data import DATA

ROOT = Path(__file__).parents[2]
SMALL = replace(QUICK_TRAINING, epochs=4, lr=0.01)
FULL = dict.fromkeys(SHAPES, (16, 8))


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crops(tmp_path_factory.mktemp("crops"), FULL)


@pytest.fixture(scope="module")
def fit(crops: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command without interruption."""
    out = tmp_path_factory.mktemp("fit") / "fit"
    assert run(arguments(crops, out)) == 0
    return out


def arguments(crops: Path, out: Path) -> list[str]:
    given = {
        "--model": SMALL.model,
        "--weights": SMALL.weights,
        "--epochs": SMALL.epochs,
        "--batch": SMALL.batch,
        "--lr": SMALL.lr,
        "--freeze-epochs": 0,
        "--threads": 1,
        "--average": 0.9,
    }
    pairs = [text for key, value in given.items() for text in (key, str(value))]
    return ["train", "classifier", str(crops), "--out", str(out), *pairs]


def test_it_learns_what_can_be_learned(fit: Path) -> None:
    with (fit / "log.csv").open() as text:
        rows = list(csv.DictReader(text))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[-1]["train_loss"]) < 0.7 * float(rows[0]["train_loss"])
    figures = read_meta(fit).metrics
    assert figures["accuracy"] > 0.5  # chance: 0.2
    assert figures["target_auc"] > 0.9
    assert figures["best_epoch"] == max(int(r["epoch"]) for r in rows if r["kept"] == "True")
    for name in ("curves.png", "confusion.png", "reliability.png"):
        assert cv2.imdecode(np.fromfile(fit / name, np.uint8), cv2.IMREAD_COLOR) is not None
    with (fit / "confusion.csv").open() as text:
        table = list(csv.reader(text))
    assert table[0] == ["true", *read_meta(fit).classes]
    assert sum(int(n) for row in table[1:] for n in row[1:]) == 8 * len(SHAPES)


def test_the_folder_gives_back_the_network(crops: Path, fit: Path) -> None:
    model, meta = load_fit(fit)
    assert not model.training
    assert meta.classes == ("gun", "cell_phone", "cup", "umbrella", "other")
    assert meta.temperature == meta.metrics["calibration"]["temperature"] != 1.0
    assert meta.crop_spec().imgsz == 64
    rgb = np.stack([draw("gun", np.random.default_rng(k)) for k in range(4)])
    with torch.inference_mode():
        logits = model(to_input(rgb, meta.mean, meta.std, "cpu"))
    assert logits.shape == (4, 5)
    assert meta.trained_on["counts"]["train"]["gun"] == 16


def test_a_killed_run_goes_on_to_the_same_weights(
    crops: Path, fit: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fit"
    command = [sys.executable, "-m", "forensics.cli.main", *arguments(crops, out)]
    child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "last.json").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    done = json.loads((out / "last.json").read_text())["epoch"]
    assert 1 <= done < SMALL.epochs
    assert not (out / "classifier.json").exists()
    assert run(arguments(crops, out)) == 0
    assert f"goes on with epoch {done + 1} of {SMALL.epochs}" in capfd.readouterr().err
    assert (out / WEIGHTS).read_bytes() == (fit / WEIGHTS).read_bytes()
    assert load((out / "last.safetensors").read_bytes()).keys()
    again, before = read_meta(out), read_meta(fit)
    assert again == before


def test_a_finished_run_is_not_trained_again(
    crops: Path, fit: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (fit / WEIGHTS).stat().st_mtime_ns
    assert run(arguments(crops, fit)) == 0
    said = capfd.readouterr()
    assert "epoch 1/" not in said.err
    assert "target against the rest" in said.out
    assert (fit / WEIGHTS).stat().st_mtime_ns == before


def test_another_command_does_not_go_on(crops: Path, fit: Path, tmp_path: Path) -> None:
    examples = gather([crops], ["gun"])
    with pytest.raises(TrainingError, match=r"begun otherwise.*seed was 0"):
        train_classifier(examples, replace(SMALL, average=0.9, seed=1), fit)
    less = write_crops(tmp_path / "less", {**FULL, "cup": (9, 4)})
    with pytest.raises(TrainingError, match="begun otherwise"):
        train_classifier(gather([less], ["gun"]), replace(SMALL, average=0.9), fit)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "holiday.txt").write_text("mine")
    with pytest.raises(TrainingError, match="holds other files"):
        train_classifier(examples, SMALL, tmp_path / "notes")


def test_seeds_decide_everything(crops: Path, tmp_path: Path) -> None:
    examples = gather([crops], ["gun"])
    short = replace(SMALL, epochs=1, freeze_epochs=1)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_classifier(examples, replace(short, seed=seed), tmp_path / name)
    a, b, c = ((tmp_path / name / WEIGHTS).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_an_earlier_fit_is_a_start(crops: Path, fit: Path) -> None:
    meta = read_meta(fit)
    model = create_classifier(meta.model, len(meta.classes))
    head = head_names(model)
    assert head == {"classifier.weight", "classifier.bias"}
    assert start_from(model, meta.model, str(fit), meta.classes) == "weights of an earlier fit"
    kept, own = load((fit / WEIGHTS).read_bytes()), model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in kept.items())
    other = create_classifier(meta.model, 2)
    said = start_from(other, meta.model, str(fit / WEIGHTS), ("gun", "other"))
    assert said == f"backbone of {WEIGHTS}"
    assert torch.equal(other.state_dict()["conv_stem.weight"], kept["conv_stem.weight"])
    with pytest.raises(TrainingError, match="does not fit the model"):
        start_from(create_classifier("test_vit", 2), "test_vit", str(fit / WEIGHTS), ("a", "b"))
    with pytest.raises(TrainingError, match="give --model test_efficientnet"):
        start_from(other, "test_vit", str(fit), ("gun", "other"))


def test_a_frozen_backbone_stays_as_it_is() -> None:
    model = create_classifier("test_efficientnet", 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = make_optimiser(model, SMALL)
    set_mode(model, frozen=True)
    model(torch.randn(4, 3, 64, 64)).sum().backward()
    optimiser.step()
    changed = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == head_names(model)
    set_mode(model, frozen=False)
    assert all(value.requires_grad for value in model.parameters())
    assert all(module.training for module in model.modules())


def test_rates_rise_and_fall() -> None:
    rates = [rate_at(step, 100) for step in range(100)]
    assert np.argmax(rates) in (4, 5)
    assert max(rates) == 1
    assert rates[-1] < 0.02
    assert (np.diff(rates[5:]) < 0).all()


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_classes_are_shown_as_asked(balance: float) -> None:
    labels = np.repeat([0, 1, 2], [10, 40, 150])
    order = epoch_order(labels, 0, 3, balance)
    shown = np.bincount(labels[order], minlength=3)
    share = np.array([10, 40, 150]) ** (1 - balance)
    np.testing.assert_allclose(shown, 200 * share / share.sum(), atol=1)
    small = np.bincount(order, minlength=200)[:10]
    assert np.ptp(small) <= 1  # in turns, none left out
    assert not np.array_equal(order, epoch_order(labels, 0, 4, balance))


def test_figures_are_the_plain_counts(fit: Path) -> None:
    meta = read_meta(fit)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 300)
    logits = rng.normal(0, 1, (300, 5)) + 1.5 * np.eye(5)[labels]
    figures = measure(logits, labels, meta)
    said = logits.argmax(axis=1)
    assert figures["right"] == (said == labels).sum()
    for k, name in enumerate(meta.classes):
        row = figures["per_class"][name]
        assert row["found"] == ((said == k) & (labels == k)).sum()
        assert (row["crops"], row["said"]) == ((labels == k).sum(), (said == k).sum())
    assert confusion_matrix(logits, labels).sum() == 300
    score = np.exp(logits[:, 0]) / np.exp(logits).sum(axis=1)
    hit = labels == 0
    pairs = score[hit][:, None] - score[~hit][None]
    assert figures["target_auc"] == pytest.approx(np.mean(pairs > 0))
    for row in figures["at_false_acceptance"]:
        assert row["false"] <= row["allowed"] * row["others"]
        assert row["found"] == (score[hit] >= row["threshold"]).sum()


def test_ties_at_the_limit_are_not_accepted() -> None:
    target = np.array([0.9, 0.5, 0.5, 0.5, 0.5])
    hit = np.array([True, True, False, False, False])
    row = at_false_acceptance(target, hit, 0.1)
    assert (row["found"], row["false"]) == (1, 0)


def test_calibration_is_done_again_on_other_crops(
    fit: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = write_crops(tmp_path / "other", dict.fromkeys(SHAPES, (0, 12)), seed=9)
    before = read_meta(fit)
    assert run(["calibrate", str(fit), str(other), "--threads", "1"]) == 0
    assert "60 crops" in capfd.readouterr().out
    after = read_meta(fit)
    assert after.metrics["calibration"]["crops"] == 60
    assert after.metrics["target_auc"] == before.metrics["target_auc"]
    strange = write_crops(tmp_path / "strange", FULL, rule={**RULE, "padding": 2.0})
    with pytest.raises(TrainingError, match="the crops are of 2 x.*mine again"):
        calibrate_fit(fit, gather([strange], ["gun"], classes=before.classes))
    fewer = write_crops(tmp_path / "fewer", {"gun": (8, 8), "other": (8, 8)})
    with pytest.raises(TrainingError, match="the network's classes are gun, cell_phone"):
        calibrate_fit(fit, gather([fewer], ["gun"]))


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ({"gun": (16, 8)}, {}, "every crop is a target .*nothing to tell it from"),
        ({"cup": (16, 8), "other": (16, 8)}, {}, "no crop is labelled gun; the labels are cup"),
        ({**FULL, "cup": (3, 8)}, {}, "fewer than 8 crops to train on: cup 3;.*--class-map"),
        (dict.fromkeys(SHAPES, (16, 0)), {}, "no target crop is in validation"),
        ({**dict.fromkeys(SHAPES, (16, 0)), "gun": (16, 8)}, {}, "no other crop is in validation"),
        (FULL, {"class_map": {"spoon": "cup"}}, "--class-map names spoon, but no crop"),
        (FULL, {"class_map": dict.fromkeys(SHAPES, "")}, "no crop is labelled gun.*none"),
    ],
)
def test_too_little_is_a_clear_stop(
    tmp_path: Path, counts: dict[str, tuple[int, int]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        gather([write_crops(tmp_path, counts)], ["gun"], **options)


def test_bad_pictures_are_listed_and_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    crops = write_crops(tmp_path / "crops", FULL)
    guns = sorted((crops / "images/train/gun").iterdir())
    guns[0].write_bytes(b"not a picture")
    guns[1].unlink()
    guns[2].write_bytes(b"")
    write_png(guns[3], np.zeros((64, 64, 3), np.uint8))
    examples = gather([crops], ["gun"])
    assert examples.counts()["train"]["gun"] == 12
    table = crops / "crops.parquet"
    assert [p.where for p in examples.problems] == [f"{table}:{k}" for k in (1, 2, 3, 4)]
    assert "cannot be read" in examples.problems[1].what
    assert all("not the picture that was cut" in examples.problems[k].what for k in (0, 2, 3))
    out = tmp_path / "fit"
    few = [*arguments(crops, out), "--min-crops", "13"]
    assert run(few) == 1
    assert "gun 12 (4 crops were left out)" in capfd.readouterr().err
    train_classifier(examples, replace(SMALL, epochs=1), out)
    lines = (out / "problems.csv").read_text().splitlines()
    assert lines[0] == "file,line,what"
    assert len(lines) == 5
    assert "crops.parquet,1," in lines[1]


def test_data_sets_are_joined_without_leaks(tmp_path: Path) -> None:
    first = write_crops(tmp_path / "first", FULL)
    same = write_crops(tmp_path / "same", FULL)
    alone, joined = gather([first], ["gun"]), gather([first, same], ["gun"])
    assert joined.digest() == alone.digest()  # every crop once
    other = write_crops(tmp_path / "other", {"gun": (5, 0)}, seed=1)
    assert gather([first, other], ["gun"]).counts()["train"]["gun"] == 21
    turned = write_crops(tmp_path / "turned", {"cup": (6, 0)}, seed=2)
    _say_of_cameras(turned, "val0")
    held_out = gather([first, turned], ["gun"])
    assert held_out.counts()["train"]["cup"] == 16
    assert len(held_out.problems) == 6
    assert "camera val0 is validation elsewhere" in held_out.problems[0].what
    strange = write_crops(tmp_path / "strange", FULL, rule={**RULE, "min_side": 9}, seed=3)
    with pytest.raises(TrainingError, match="join only crops cut by one rule"):
        gather([first, strange], ["gun"])
    with pytest.raises(TrainingError, match="has no crops.json"):
        gather([tmp_path / "nowhere"], ["gun"])


def test_a_near_copy_of_another_sets_validation_is_not_trained_on(tmp_path: Path) -> None:
    """Another camera, another frame, but the same picture a little brighter."""
    first = write_crops(tmp_path / "first", {"gun": (12, 8), "other": (12, 8)})
    more = write_crops(tmp_path / "more", {"gun": (9, 0), "other": (9, 0)}, seed=5)
    rows = pq.read_table(more / "crops.parquet").to_pylist()
    rows = [{**row, "group": f"new-{row['group']}", "source": "new.mp4"} for row in rows]
    copied = next((first / "images" / "val" / "gun").iterdir())
    rgb = decode_picture(copied.read_bytes())
    assert rgb is not None
    write_png(more / rows[0]["file"], np.clip(rgb * 1.05, 0, 255).astype(np.uint8))
    write_table(more, rows)
    examples = gather([more, first], ["gun"])
    assert examples.counts() == {"train": {"gun": 20, "other": 21}, "val": {"gun": 8, "other": 8}}
    assert [(p.where, p.what) for p in examples.problems] == [
        (str(more / rows[0]["file"]), "nearly equals a validation crop; left out")
    ]


def _say_of_cameras(crops: Path, group: str) -> None:
    rows = pq.read_table(crops / "crops.parquet").to_pylist()
    write_table(crops, [{**row, "group": group} for row in rows])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"schema": 1', '"schema": 9', "schema is not 1"),
        ('"colour": "rgb"', '"colour": "sepia"', "colour or temperature is out of range"),
        ('"padding"', '"paddle"', "padding"),
        ("{", "{{", "not valid JSON"),
    ],
)
def test_a_damaged_fit_names_the_file(
    fit: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (fit / "classifier.json").read_text()
    assert old in text
    (tmp_path / "classifier.json").write_text(text.replace(old, new, 1))
    with pytest.raises(TrainingError, match=f"classifier.json.*{message}"):
        load_fit(tmp_path)


def test_damaged_weights_are_an_error(fit: Path, tmp_path: Path) -> None:
    (tmp_path / "classifier.json").write_bytes((fit / "classifier.json").read_bytes())
    with pytest.raises(TrainingError, match="cannot read .*classifier.safetensors"):
        load_fit(tmp_path)
    (tmp_path / WEIGHTS).write_bytes((fit / WEIGHTS).read_bytes()[:5000])
    with pytest.raises(TrainingError, match="not a sound safetensors file"):
        load_fit(tmp_path)
    with pytest.raises(TrainingError, match="timm knows no model"):
        create_classifier("resnet_of_nobody", 2)


def test_the_command_explains_itself_without_torch() -> None:
    code = "import sys; from forensics.cli.main import run\n"
    code += "assert run(['train', 'classifier', '--help']) == 0\n"
    code += "assert run(['calibrate', '--help']) == 0\n"
    code += "sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "forensics train classifier CROPS --out FIT" in done.stdout
    assert "forensics calibrate FIT CROPS" in done.stdout


@pytest.mark.skipif(not (DATA / "caltech101").is_dir(), reason="no photographs (FORENSICS_DATA)")
def test_photographs_are_told_apart_by_the_bundled_backbone(tmp_path: Path) -> None:
    """Frozen ImageNet features on real revolvers, umbrellas and telephones at 96 px."""
    rule = {"imgsz": 96, "padding": 1.0, "min_side": 24}
    names = {"revolver": "gun", "umbrella": "umbrella", "cellphone": "cell_phone"}
    crops = write_crops(tmp_path / "crops", dict.fromkeys(names.values(), (24, 12)), rule=rule)
    for folder, label in names.items():
        photos = sorted((DATA / "caltech101" / folder).glob("*.jpg"))
        for split, chosen in (("train", photos[:24]), ("val", photos[24:36])):
            places = sorted((crops / "images" / split / label).iterdir())
            for photo, place in zip(chosen, places, strict=True):
                bgr = cv2.imdecode(np.fromfile(photo, np.uint8), cv2.IMREAD_COLOR)
                write_png(place, cv2.resize(bgr, (96, 96))[..., ::-1])
    write_table(crops, pq.read_table(crops / "crops.parquet").to_pylist(), rule)
    settings = TrainSettings(epochs=6, batch=8, lr=5e-3, freeze_epochs=6)
    meta = train_classifier(gather([crops], ["gun"]), settings, tmp_path / "fit")
    assert isinstance(meta, FitMeta)
    assert meta.metrics["target_auc"] > 0.85
    assert meta.metrics["accuracy"] > 0.6
