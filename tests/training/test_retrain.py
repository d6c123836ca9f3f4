"""Retraining on reviewed detections of a real run, with a cascade made of a small fit."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from forensics.cascade.crops import cut_crops
from forensics.cascade.definition import ZOO, load_cascade
from forensics.cli.main import run
from forensics.errors import CascadeError, TrainingError
from forensics.footage.grab import grab_frames
from forensics.runlog.reader import RunTables, open_run
from forensics.training.classifier_model import load_fit, read_meta
from forensics.training.classifier_settings import TrainSettings
from forensics.training.crops import decode_picture, open_crops
from forensics.training.examples import gather
from forensics.training.retrain import Retraining, compare, retrain
from forensics.training.reviewed import read_reviews
from forensics.training.train_classifier import train_classifier
from tests.support.crops import QUICK_TRAINING, SHAPES, write_crops
from tests.support.scans import run_small_scan, small_archive

SMALL = replace(QUICK_TRAINING, epochs=3, lr=0.01)
ONWARD = TrainSettings(epochs=1, batch=8, lr=0.001, freeze_epochs=0, patience=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with crops, a fit, a cascade with that fit, footage and a run."""
    folder = tmp_path_factory.mktemp("retrain")
    crops = write_crops(folder / "crops", dict.fromkeys(SHAPES, (12, 8)))
    train_classifier(gather([crops], ["gun"]), SMALL, folder / "fit")
    as_cascade(folder / "fit", folder / "cascade")
    small_archive(folder / "footage")
    cascade = load_cascade(str(folder / "cascade"))
    run_small_scan(folder / "footage", folder / "run", cascade=cascade, gate=0.0001)
    return folder


def as_cascade(fit: Path, out: Path) -> None:
    """The bundled cascade with its classifier replaced."""
    model, meta = load_fit(fit)
    shutil.copytree(ZOO / "handgun", out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, 64, 64),),
            str(out / "classifier.fp32.onnx"),
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}},
            dynamo=False,
        )
    sha256 = hashlib.sha256((out / "classifier.fp32.onnx").read_bytes()).hexdigest()
    text = (out / "cascade.toml").read_text()
    head, _, rest = text.partition("[classifier]")
    for key, value in {
        "imgsz": 64,
        "padding": meta.padding,
        "temperature": meta.temperature,
        "classes": json.dumps(meta.classes),
        "colour": f'"{meta.colour}"',
        "mean": list(meta.mean),
        "std": list(meta.std),
        "sha256": f'"{sha256}"',
    }.items():
        rest = re.sub(rf"^{key} = .*$", f"{key} = {value}", rest, count=1, flags=re.MULTILINE)
    assert f"temperature = {meta.temperature!r}" in rest
    (out / "cascade.toml").write_text(head + "[classifier]" + rest)


def detections(tables: RunTables) -> list[tuple[str, int, int]]:
    """Keys of the log's rows, in order."""
    path = {row["media_id"]: row["path"] for row in reversed(tables.media.to_pylist())}
    rows = tables.detections.to_pylist()
    return [(path[r["media_id"]], r["frame_index"], r["detection_index"]) for r in rows]


def write_labels(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    lines = ["path,frame_index,detection_index,label,who"]
    path.write_text("\n".join(lines + [",".join(map(str, row)) for row in rows]) + "\n")
    return path


def asked(place: Path, labels: Path, out: Path, **changes: Any) -> Retraining:
    values: dict[str, Any] = {
        "cascade": load_cascade(str(place / "cascade")),
        "fit": place / "fit",
        "run": open_run(place / "run"),
        "labels": labels,
        "crops": [place / "crops"],
        "out": out,
    }
    return Retraining(**{**values, **changes})


def test_the_cascade_of_a_fit_scores_as_the_fit(place: Path) -> None:
    """The log's target scores are those of the fit's own weights, temperature and crop rule."""
    tables = open_run(place / "run")
    model, meta = load_fit(place / "fit")
    rows = [row for row in tables.detections.to_pylist() if row["classified"]]
    media = {row["media_id"]: row["path"] for row in tables.media.to_pylist()}
    row = rows[0]
    path = place / "footage" / media[row["media_id"]]
    rgb = dict(grab_frames(path, [row["frame_index"]]))[row["frame_index"]]
    box = np.array([[row[k] for k in ("x_min", "y_min", "x_max", "y_max")]], np.float32)
    crop = cut_crops(rgb, box, meta.crop_spec())
    pixels = (torch.from_numpy(crop).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (meta.mean, meta.std))
    pixels = ((pixels * 0.5 + 0.5) - mean) / std
    with torch.inference_mode():
        expected = torch.softmax(model(pixels).double() / meta.temperature, dim=1)[0]
    np.testing.assert_allclose(row["probabilities"], expected, atol=1e-4)


def test_reviewed_cases_are_added_and_compared(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = detections(open_run(place / "run"))
    rows: list[tuple[Any, ...]] = [(*key, "cup" if k % 2 else "gun") for k, key in enumerate(keys)]
    rows = rows[:10]
    labels = write_labels(
        tmp_path / "said.csv",
        [
            *rows,
            (*keys[11], "spoon"),
            ("nowhere.mp4", 0, 0, "cup"),
            (*keys[0], "cup"),
            (keys[12][0], "x", 0, "cup"),
            (*keys[13], ""),
        ],
    )
    out = tmp_path / "fit2"
    arguments = ["retrain", place / "cascade", "--fit", place / "fit", "--crops", place / "crops"]
    arguments += ["--run", place / "run", "--labels", labels, "--out", out]
    arguments += ["--epochs", 1, "--batch", 8, "--lr", 0.001, "--threads", 1]
    assert run([str(value) for value in arguments]) == 0
    said = capfd.readouterr()
    assert "10 reviewed detections added" in said.out
    assert "McNemar exact" in said.out
    assert "note: --crops" not in said.out
    for line, what in (
        (12, "unknown class 'spoon'; the network has gun"),
        (13, "nowhere.mp4 frame 0 detection 0 is not in the run"),
        (14, "labelled cup here and gun in line 2"),
        (15, "must be whole numbers"),
    ):
        assert f"{labels}:{line}: " in said.err
        assert what in said.err
    assert "said.csv:16" not in said.err
    check_crops(place, out, rows)
    check_comparison(place, out)
    assert run([str(value) for value in arguments]) == 0  # the same command changes nothing
    assert "epoch 1/" not in capfd.readouterr().err


def check_crops(place: Path, out: Path, rows: list[tuple[Any, ...]]) -> None:
    """The pictures are the classifier's input before greying, cut from the very frames."""
    spec = replace(read_meta(place / "fit").crop_spec(), grey=False)
    crops = open_crops(out / "reviewed")
    table = crops.table.to_pylist()
    assert not crops.problems
    assert {(r["source"], r["frame_index"], r["label"]) for r in table} == {
        (path, frame, label) for path, frame, _, label in rows
    }
    assert {r["split"] for r in table} == {"train"}
    for row in table[::3]:
        rgb = dict(grab_frames(place / "footage" / row["source"], [row["frame_index"]]))
        box = np.array([[row[k] for k in ("x_min", "y_min", "x_max", "y_max")]], np.float32)
        cut = cut_crops(rgb[row["frame_index"]], box, spec)[0]
        kept = decode_picture((crops.folder / row["file"]).read_bytes())
        assert kept is not None
        np.testing.assert_array_equal(kept, cut)
    trained = read_meta(out).trained_on["counts"]
    assert trained["train"] == {**dict.fromkeys(SHAPES, 12), "gun": 17, "cup": 17}
    assert trained["val"] == read_meta(place / "fit").trained_on["counts"]["val"]


def check_comparison(place: Path, out: Path) -> None:
    found = json.loads((out / "retrain.json").read_text())
    figures = read_meta(place / "fit").metrics
    assert found["targets"]["crops"] == 8
    assert found["others"]["crops"] == 32
    assert {name: row["crops"] for name, row in found["per_class"].items()} == {
        name: row["crops"] for name, row in figures["per_class"].items()
    }


def test_before_and_after_are_plain_counts(place: Path) -> None:
    meta = read_meta(place / "fit")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 400)
    before = np.clip(0.5 * (labels == 0) + rng.normal(0.3, 0.2, 400), 0, 1)
    after = np.clip(before + rng.normal(0.02, 0.1, 400), 0, 1)
    found = compare(before, after, labels, meta, 0.5)
    first, second, hit = before >= 0.5, after >= 0.5, labels == 0
    for key, right in (("targets", hit), ("others", ~hit)):
        a, b = (first == hit)[right], (second == hit)[right]
        assert found[key]["right_before"] == a.sum()
        assert found[key]["right_after"] == b.sum()
        only = int((a & ~b).sum()), int((b & ~a).sum())
        assert (found[key]["only_before"], found[key]["only_after"]) == only
        assert found[key]["mcnemar_p"] == pytest.approx(binomtest(only[0], sum(only)).pvalue)
    for k, name in enumerate(meta.classes):
        assert found["per_class"][name]["accepted_after"] == second[labels == k].sum()
    equal = found["equal_false"]
    assert equal["false_after"] <= equal["false_before"] == (first & ~hit).sum()
    shifted = compare(before, np.clip(before - 0.2, -1, 1), labels, meta, 0.5)["equal_false"]
    assert shifted["found_after"] == shifted["found_before"]  # a shift of scores is no change


def test_what_does_not_belong_together_is_refused(place: Path, tmp_path: Path) -> None:
    keys = detections(open_run(place / "run"))
    labels = write_labels(tmp_path / "said.csv", [(*keys[0], "gun")])
    with pytest.raises(TrainingError, match="--out is --fit itself"):
        retrain(asked(place, labels, place / "fit"), ONWARD)
    with pytest.raises(CascadeError, match="is not the one that the run used"):
        retrain(asked(place, labels, tmp_path / "x", cascade=load_cascade("handgun")), ONWARD)
    crops = write_crops(tmp_path / "two", {"gun": (12, 8), "other": (12, 8)})
    train_classifier(gather([crops], ["gun"]), SMALL, tmp_path / "two-fit")
    with pytest.raises(TrainingError, match="is not the classifier of handgun: classes is"):
        retrain(asked(place, labels, tmp_path / "x", fit=tmp_path / "two-fit"), ONWARD)


def test_nothing_usable_is_a_clear_stop(place: Path, tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "said.csv", [("nowhere.mp4", 0, 0, "gun")])
    with pytest.raises(TrainingError, match="no reviewed detection can be used; the first fault: "):
        retrain(asked(place, labels, tmp_path / "out"), ONWARD)
    bare = tmp_path / "bare.csv"
    bare.write_text("path,frame_index,label\n")
    with pytest.raises(TrainingError, match="lacks the column detection_index"):
        read_reviews(bare, open_run(place / "run"), ["gun"])
    with pytest.raises(TrainingError, match="cannot read"):
        read_reviews(tmp_path / "gone.csv", open_run(place / "run"), ["gun"])
    bare.write_bytes(b"path,\xff\xfe\n")
    with pytest.raises(TrainingError, match="not a CSV file in UTF-8"):
        read_reviews(bare, open_run(place / "run"), ["gun"])


def test_footage_that_is_gone_is_listed(place: Path, tmp_path: Path) -> None:
    keys = detections(open_run(place / "run"))
    one = next(key for key in keys if key[0].startswith("stills"))
    away = place / "footage" / one[0]
    data = away.read_bytes()
    labels = write_labels(tmp_path / "said.csv", [(*keys[0], "gun"), (*one, "gun")])
    try:
        away.unlink()
        done = retrain(asked(place, labels, tmp_path / "out"), ONWARD)
    finally:
        away.write_bytes(data)
    assert done.added == 1
    assert [p.where for p in done.problems] == [f"{labels}:3"]
    assert "the footage is gone; left out" in done.problems[0].what


def test_the_command_loads_no_torch_for_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["retrain", "--help"]) == 0
    assert "forensics retrain ./CASCADE --fit FIT" in capfd.readouterr().out
