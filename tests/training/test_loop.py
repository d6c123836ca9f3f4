"""The whole training loop through the command line, on real data at a small scale."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from forensics.cascade.definition import load_cascade
from forensics.runlog.reader import open_run
from forensics.training.crops import open_crops
from tests.support.data import DATA

MODELS = Path(os.environ.get("FORENSICS_MODELS", DATA.parent / "models"))
BASELINE = MODELS / "handgun-baseline" / "detector.pt"
pytestmark = pytest.mark.skipif(
    not (DATA / "pistols").is_dir() or not BASELINE.is_file(),
    reason="no photographs or no starting weights (set FORENSICS_DATA, FORENSICS_MODELS)",
)
CONFIG = """
schema = 1
classes = ["gun"]
seed = 3
val_share = 0.2
[[source]]
name = "pistols"
images = "pistols/images"
labels = "pistols/labels"
names = ["pistol", "knife", "long_gun"]
map = { pistol = "gun", long_gun = "gun" }
decoys = ["knife"]
[compose]
grids = { 2 = 4 }
[train]
epochs = 1
imgsz = 160
batch = 8
workers = 0
freeze = 10
"""
PICTURES = 60


@dataclass
class Loop:
    """One folder in which the commands run one after another."""

    folder: Path
    said: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "forensics.cli.main", *map(str, arguments)],
            cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{name}: {done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        self.said[name] = done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """Every command of the loop, run once in its order."""
    folder = tmp_path_factory.mktemp("loop")
    _copy_pictures(folder / "pistols")
    (folder / "data.toml").write_text(CONFIG)
    loop = Loop(folder)
    names = ("--class-map", "0=gun", "--class-map", "2=gun", "--class-map", "1=other")
    pictures, labels = "pistols/images", "pistols/labels"
    loop.run("train detector", "train", "detector", "data.toml", "--data-root", folder,
             "--weights", BASELINE, "--out", "fit1")  # fmt: skip
    loop.run("first", "export", "--detector", "fit1/weights/best.pt", "--no-int8", "--imgsz", 320,
             "--calibration", pictures, "--name", "first", "--version", "1",
             "--out", "first")  # fmt: skip
    loop.run("mine", "mine", pictures, "--truth", labels, *names, "--cascade", "first", "--camera",
             "file", "--truth-crops", "--crop-imgsz", 96, "--max-per-source", 3,
             "--seed", 1)  # fmt: skip
    loop.run("group", "group", "crops", "--clusters", 3)
    loop.run("name", "group", "crops", "--name", "0=knife")
    loop.run("train classifier", "train", "classifier", "crops", "--out", "fit2", "--frozen",
             "--epochs", 1, "--min-crops", 1)  # fmt: skip
    loop.run("calibrate", "calibrate", "fit2", "crops")
    loop.run("export", "export", "--detector", "fit1/weights/best.pt", "--classifier", "fit2",
             "--base", "first", "--calibration", pictures, "--frames", 16, "--validation", pictures,
             "--truth", labels, *names, "--max-flips", 1, "--max-recall-loss", 1, "--min-found", 0,
             "--name", "mine", "--version", "1.0", "--out", "cascade")  # fmt: skip
    loop.run("scan", "scan", pictures, "--cascade", "cascade", "--camera", "file", "--out", "RUN")
    loop.run("evaluate", "evaluate", "RUN", "--truth", labels, *names, "--format", "json",
             "--out", "result.json")  # fmt: skip
    _review(folder)
    loop.run("retrain", "retrain", "cascade", "--fit", "fit2", "--crops", "crops", "--run", "RUN",
             "--labels", "said.csv", "--out", "fit3", "--epochs", 1, "--min-crops", 1)  # fmt: skip
    return loop


def _copy_pictures(to: Path) -> None:
    """The first pictures by name, with their labels."""
    for kind in ("images", "labels"):
        (to / kind).mkdir(parents=True)
    for path in sorted((DATA / "pistols" / "images").glob("*.jpg"))[:PICTURES]:
        shutil.copy(path, to / "images")
        shutil.copy(DATA / "pistols" / "labels" / f"{path.stem}.txt", to / "labels")


def _review(folder: Path) -> None:
    """A reviewer's word on the five best boxes of the run."""
    run = open_run(folder / "RUN")
    paths = dict(zip(*run.media.select(["media_id", "path"]).to_pydict().values(), strict=True))
    rows = run.detections.to_pandas().nlargest(5, "detector_score")
    with (folder / "said.csv").open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(["path", "frame_index", "detection_index", "label"])
        for row in rows.itertuples():
            out.writerow([paths[row.media_id], row.frame_index, row.detection_index, "gun"])


def test_the_detector_ends_with_weights_and_figures(loop: Loop) -> None:
    assert (loop.folder / "fit1" / "weights" / "best.pt").is_file()
    assert "mAP50" in loop.said["train detector"]


def test_crops_are_of_several_labels_and_one_was_named(loop: Loop) -> None:
    crops = open_crops(loop.folder / "crops")
    labels = set(crops.frame()["label"])
    assert {"gun", "knife"} <= labels
    assert (loop.folder / "crops" / "clusters.html").is_file()
    frame = crops.frame()
    assert set(frame[frame.split == "val"].group).isdisjoint(frame[frame.split == "train"].group)


def test_the_classifier_is_calibrated(loop: Loop) -> None:
    meta = json.loads((loop.folder / "fit2" / "classifier.json").read_text())
    assert "gun" in meta["classes"] and "knife" in meta["classes"]
    assert meta["temperature"] > 0
    assert (loop.folder / "fit2" / "reliability.png").is_file()


def test_the_cascade_holds_both_precisions_and_their_parity(loop: Loop) -> None:
    cascade = load_cascade(str(loop.folder / "cascade"))
    assert set(cascade.detector.files) == {"fp32", "int8"}
    assert cascade.classifier is not None and "knife" in cascade.classifier.classes
    (parity,) = json.loads((cascade.folder / "parity.json").read_text())["precisions"]
    assert parity["decisions"]["frames"] == PICTURES
    assert (cascade.folder / "card.md").is_file()


def test_the_scan_took_what_passed_and_can_be_judged(loop: Loop) -> None:
    manifest = open_run(loop.folder / "RUN").manifest
    assert manifest["cascade"]["name"] == "mine"
    assert {model["stage"] for model in manifest["models"]} == {"detector", "classifier"}
    assert "int8" in json.dumps(manifest) or manifest["backend"] != "openvino"
    result = json.loads((loop.folder / "result.json").read_text())
    frame = result["arms"]["cascade"]["frame"]
    assert frame["tp"] + frame["fp"] + frame["fn"] + frame["tn"] == PICTURES


def test_retraining_says_before_and_after(loop: Loop) -> None:
    said = loop.said["retrain"].lower()
    assert "before" in said and "after" in said
    assert (loop.folder / "fit3" / "classifier.safetensors").is_file()
