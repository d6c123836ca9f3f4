"""The whole training loop through the command line, on real pictures and clips, at small scale.

What comes out is no good detector: the networks see some sixty pictures once. What is checked is
that each command takes what the one before wrote, and counts, keeps and states what it did.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from forensics.runlog.reader import RunTables, open_run
from tests.support.data import DATA, ROOT

MODELS = Path(os.environ.get("FORENSICS_MODELS", ROOT.parent / "shared" / "models"))
CHECKPOINT = MODELS / "handgun-baseline" / "detector.pt"
CLIPS = ("nofi005.mp4", "nofi006.mp4")  # gun-free; about two seconds each
NEEDED = ("cctv-weapons/train", "cctv-weapons/valid", "pistols", "handheld/train", "footage")
CCTV = ("--class-map", "1=gun", "--class-map", "0=")
CONFIG = """
schema = 1
classes = ["gun"]
val_share = 0.2
[[source]]
name = "cctv"
images = "cctv/images"
labels = "cctv/labels"
names = ["person", "weapon"]
map = { weapon = "gun" }
stretched = true
[[source]]
name = "pistols"
images = "pistols/images"
labels = "pistols/labels"
names = ["pistol", "knife", "long_gun"]
map = { pistol = "gun", long_gun = "gun" }
[[source]]
name = "handheld"
images = "handheld/images"
labels = "handheld/labels"
names = ["airpods", "phone", "wallet"]
decoys = ["airpods", "phone", "wallet"]
[[source]]
name = "clips"
footage = "clips"
[compose]
grids = { 2 = 2 }
pastes = 3
[train]
epochs = 1
imgsz = 160
workers = 0
"""
pytestmark = [
    pytest.mark.skipif(
        not all((DATA / name).is_dir() for name in NEEDED),
        reason="no training pictures (set FORENSICS_DATA)",
    ),
    pytest.mark.skipif(
        not CHECKPOINT.is_file(), reason="no detector to start from (set FORENSICS_MODELS)"
    ),
]


@dataclass(frozen=True)
class Loop:
    """The folder in which everything was made, and what each step printed."""

    root: Path
    said: dict[str, str]

    def run(self, step: str, *arguments: object) -> None:
        command = [sys.executable, "-m", "forensics.cli.main", *map(str, arguments)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=os.environ | {"YOLO_OFFLINE": "true", "COLUMNS": "200"},
        )
        assert done.returncode == 0, f"{step}: {done.stdout}\n{done.stderr}"
        self.said[step] = done.stdout

    def __truediv__(self, name: str) -> Path:
        return self.root / name


def labelled(folder: Path, targets: tuple[int, ...], count: int) -> list[Path]:
    """The first pictures, by name, that have a box of one of the class numbers."""
    found = []
    for label in sorted((folder / "labels").glob("*.txt")):
        numbers = {int(line.split()[0]) for line in label.read_text().splitlines() if line.strip()}
        picture = folder / "images" / f"{label.stem}.jpg"
        if numbers & set(targets) and picture.is_file() and "nife" not in label.name:
            found.append(picture)
    assert len(found) >= count
    return found[:: len(found) // count][:count]


def copy(folder: Path, out: Path, targets: tuple[int, ...], count: int) -> None:
    (out / "images").mkdir(parents=True)
    (out / "labels").mkdir()
    for picture in labelled(folder, targets, count):
        shutil.copyfile(picture, out / "images" / picture.name)
        label = (folder / "labels" / picture.name).with_suffix(".txt")
        shutil.copyfile(label, out / "labels" / label.name)


def gather(root: Path) -> None:
    """Copy a few pictures and clips, with what is known of them."""
    copy(DATA / "cctv-weapons" / "train", root / "cctv", (1,), 36)
    copy(DATA / "cctv-weapons" / "valid", root / "valid", (1,), 16)
    copy(DATA / "pistols", root / "pistols", (0, 2), 12)
    copy(DATA / "handheld" / "train", root / "handheld", (1,), 12)
    shutil.copyfile(DATA / "handheld" / "data.yaml", root / "handheld" / "data.yaml")
    (root / "clips").mkdir()
    for name in CLIPS:
        shutil.copyfile(DATA / "footage" / "ordinary" / name, root / "clips" / name)
    spans = [f"{name},0,60,none\n" for name in CLIPS]
    (root / "spans.csv").write_text("file,start_s,end_s,class\n" + "".join(spans))
    (root / "detector.toml").write_text(CONFIG)


def train(loop: Loop) -> None:
    """Detector, mining with it, naming, classifier, calibration, export."""
    loop.run(
        "train detector", "train", "detector", loop / "detector.toml", "--data-root", loop.root,
        "--weights", CHECKPOINT, "--out", loop / "detector",
    )  # fmt: skip
    loop.run(
        "first", "export", "--detector", loop / "detector/weights/best.pt",
        "--classifier", "handgun", "--calibration", loop / "clips", "--no-int8", "--imgsz", 320,
        "--name", "first", "--version", "0.1", "--out", loop / "first",
    )  # fmt: skip
    mine: tuple[object, ...] = (
        "--cascade", loop / "first", "--camera", "file", "--imgsz", 320, "--crop-imgsz", 96,
        "--val-share", 0.3, "--max-false-alarms-per-source", 12,
    )  # fmt: skip
    loop.run(
        "mine", "mine", loop / "cctv/images", "--truth", loop / "cctv", *CCTV, *mine,
        "--truth-crops", "--out", loop / "crops-cctv",
    )  # fmt: skip
    loop.run(
        "mine things", "mine", loop / "handheld/images", "--truth", loop / "handheld", *mine,
        "--class-map", "phone=cell_phone", "--class-map", "airpods=other",
        "--class-map", "wallet=other", "--confuser", "cell_phone", "--truth-crops",
        "--out", loop / "crops-things",
    )  # fmt: skip
    loop.run(
        "mine clips", "mine", loop / "clips", "--truth", loop / "spans.csv", *mine,
        "--floor", 0.001, "--out", loop / "crops-clips",
    )  # fmt: skip
    loop.run("group", "group", loop / "crops-clips", "--clusters", 2)
    loop.run("name", "group", loop / "crops-clips", "--name", "0=street")
    crops = [loop / f"crops-{name}" for name in ("cctv", "things", "clips")]
    loop.run(
        "train classifier", "train", "classifier", *crops, "--frozen", "--epochs", 2,
        "--min-crops", 4, "--class-map", "street=other", "--out", loop / "classifier",
    )  # fmt: skip
    loop.run(
        "calibrate", "calibrate", loop / "classifier", *crops, "--class-map", "street=other"
    )
    # Some twenty boxes judge no precision: the gate is open wide, and its counts are checked.
    loop.run(
        "export", "export", "--detector", loop / "detector/weights/best.pt",
        "--classifier", loop / "classifier", "--calibration", loop / "cctv/images",
        "--validation", loop / "valid/images", "--truth", loop / "valid", *CCTV,
        "--imgsz", 320, "--frames", 16, "--operating-point", 0.1, 0.2,
        "--max-flips", 0.6, "--max-recall-loss", 0.4, "--min-found", 5,
        "--name", "small", "--version", "0.1", "--out", loop / "cascade",
    )  # fmt: skip


def use(loop: Loop) -> None:
    """Scan with the exported cascade, judge, and train on what a reviewer says."""
    scan = ("--recursive", "--camera", "file", "--floor", 0.01, "--out", loop / "run")
    loop.run(
        "scan", "scan", loop / "valid/images", loop / "clips", "--cascade", loop / "cascade", *scan
    )
    loop.run(
        "evaluate", "evaluate", loop / "run", "--truth", loop / "valid",
        "--truth", loop / "spans.csv", *CCTV, "--format", "json", "--out", loop / "judged.json",
    )  # fmt: skip
    with (loop / "said.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "frame_index", "detection_index", "label"])
        rows.writerows((*key, "other") for key in on_clips(open_run(loop / "run"))[:6])
    crops = [f"--crops={loop / f'crops-{name}'}" for name in ("cctv", "things", "clips")]
    loop.run(
        "retrain", "retrain", loop / "cascade", "--fit", loop / "classifier", *crops,
        "--run", loop / "run", "--labels", loop / "said.csv", "--class-map", "street=other",
        "--epochs", 1, "--freeze-epochs", 1, "--out", loop / "classifier-2",
    )  # fmt: skip


def on_clips(run: RunTables) -> list[tuple[str, int, int]]:
    """Keys of the detections on the gun-free clips: a reviewer knows them to be false."""
    paths = {row["media_id"]: row["path"] for row in run.media.to_pylist()}
    return [
        (paths[row["media_id"]], row["frame_index"], row["detection_index"])
        for row in run.detections.to_pylist()
        if Path(paths[row["media_id"]]).name in CLIPS
    ]


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    made = Loop(tmp_path_factory.mktemp("loop"), {})
    gather(made.root)
    train(made)
    use(made)
    return made


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def valid_boxes(loop: Loop) -> tuple[int, int]:
    """Pictures of the validation folder, and boxes of guns on them."""
    labels = list((loop / "valid/labels").glob("*.txt"))
    lines = [line for path in labels for line in path.read_text().splitlines()]
    return len(labels), sum(line.startswith("1 ") for line in lines)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_detector_saw_every_source(loop: Loop) -> None:
    found = read(loop / "detector/data/manifest.json")
    pictures, boxes = found["pictures"], found["boxes"]
    assert pictures["train whole"] + pictures["val whole"] == 36 + 12 + 12
    assert (pictures["train grid 2x2"], pictures["train paste"]) == (2, 3)
    assert pictures["train footage"] >= len(CLIPS)
    assert boxes["train gun"] >= 20 and boxes["val gun"] >= 1
    trained = read(loop / "detector/trained.json")
    assert trained["epochs"] == 1
    assert (loop / "detector" / trained["best"]).is_file()


@pytest.mark.parametrize("name", ["cctv", "things", "clips"])
def test_mined_crops_are_split_by_file_and_counted(loop: Loop, name: str) -> None:
    folder = loop / f"crops-{name}"
    rows = pq.read_table(folder / "crops.parquet").to_pylist()
    assert rows
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["group"], set()).add(row["split"])
        assert (folder / row["file"]).is_file()
    assert all(len(seen) == 1 for seen in splits.values())
    kinds = Counter(row["kind"] for row in rows)
    if name == "cctv":
        assert kinds["target"] >= 20
    if name == "things":
        assert kinds["confuser"] >= 5 and not kinds["target"]
    if name == "clips":
        assert set(kinds) == {"false_alarm"}
    detector = read(folder / "crops.json")["cascade"]["detector_sha256"]
    assert detector == sha256(loop / "first/detector.fp32.onnx")


def test_a_named_cluster_labels_its_crops(loop: Loop) -> None:
    rows = pq.read_table(loop / "crops-clips/crops.parquet").to_pylist()
    labels = {number: {r["label"] for r in rows if r["cluster"] == number} for number in (0, 1)}
    assert labels == {0: {"street"}, 1: {"other"}}
    assert "street" in (loop / "crops-clips/clusters.csv").read_text()
    assert (loop / "crops-clips/clusters.html").stat().st_size > 1000


def test_the_classifier_learned_from_all_crops_and_is_calibrated(loop: Loop) -> None:
    fit = read(loop / "classifier/classifier.json")
    assert fit["targets"] == ["gun"] and fit["imgsz"] == 96
    assert set(fit["classes"]) == {"gun", "cell_phone", "other"}
    mined = Counter[str]()
    for name in ("cctv", "things", "clips"):
        for row in pq.read_table(loop / f"crops-{name}/crops.parquet").to_pylist():
            if row["split"] == "train" and row["label"]:
                mined[row["label"].replace("street", "other")] += 1
    counts = fit["trained_on"]["counts"]["train"]
    assert all(0 < counts[name] <= mined[name] for name in fit["classes"])
    assert len(list(csv.DictReader((loop / "classifier/log.csv").open()))) == 2
    assert fit["temperature"] > 0
    assert f"temperature {fit['temperature']:.3f}" in loop.said["calibrate"]
    figures = fit["metrics"]["calibration"]
    assert figures["after"]["nll"] <= figures["before"]["nll"] + 0.05


def test_the_exported_cascade_states_its_files_and_its_parity(loop: Loop) -> None:
    folder = loop / "cascade"
    table = tomllib.loads((folder / "cascade.toml").read_text())
    hashes = {sha256(path) for path in folder.glob("*.onnx")}
    assert len(hashes) == 4
    assert all(value in (folder / "cascade.toml").read_text() for value in hashes)
    fit = read(loop / "classifier/classifier.json")
    assert table["classifier"]["temperature"] == pytest.approx(fit["temperature"])
    assert table["classifier"]["classes"] == fit["classes"]
    (parity,) = read(folder / "parity.json")["precisions"]
    assert (parity["precision"], parity["passed"]) == ("int8", True)
    assert (parity["decisions"]["frames"], parity["recall"]["positives"]) == valid_boxes(loop)
    assert parity["recall"]["found_reference"] >= parity["limits"]["min_found"]
    assert f"parity of int8: {parity['decisions']['flipped']} of" in loop.said["export"]
    for stage in ("detector", "classifier"):
        small, large = (folder / f"{stage}.{kind}.onnx" for kind in ("int8", "fp32"))
        # FP32 files keep their weights rounded to half precision, so INT8 is not a quarter of them.
        assert small.stat().st_size < 0.8 * large.stat().st_size
    assert (folder / "card.md").read_text().startswith("# small 0.1\n")


def test_the_scan_takes_int8_by_itself_and_logs_both_networks(loop: Loop) -> None:
    run = open_run(loop / "run")
    assert run.manifest["precision"] == "int8"
    used = {Path(model["path"]).name: model["sha256"] for model in run.manifest["models"]}
    files = ("detector.int8.onnx", "classifier.int8.onnx")
    assert used == {name: sha256(loop / "cascade" / name) for name in files}
    assert run.media.num_rows == 16 + len(CLIPS)
    assert set(run.media.column("status").to_pylist()) == {"ok"}
    assert any(row["classified"] for row in run.detections.to_pylist())


def test_the_run_is_judged_against_its_truth(loop: Loop) -> None:
    judged = read(loop / "judged.json")
    pictures, boxes = valid_boxes(loop)
    frames = open_run(loop / "run").media.num_rows
    assert judged["operating_point"] == {"detector": 0.1, "classifier": 0.2}
    assert judged["denominators"]["media"] == frames == pictures + len(CLIPS)
    assert judged["denominators"]["frames_positive"] == pictures
    assert judged["denominators"]["frames_negative"] > 2 * 25
    arms = judged["arms"]
    found = {name: arm["box"]["tp"] for name, arm in arms.items()}
    assert all(arm["box"]["tp"] + arm["box"]["fn"] == boxes for arm in arms.values())
    assert 5 <= found["detector"] <= boxes
    assert found["cascade"] <= found["detector"]


def test_reviewed_detections_are_learned_and_compared(loop: Loop) -> None:
    asked = len((loop / "said.csv").read_text().splitlines()) - 1
    assert asked >= 1
    said = loop.said["retrain"]
    assert f"{asked} reviewed detections added" in said
    assert "note: --crops are not those" not in said
    assert "targets accepted" in said and "McNemar exact" in said
    before, after = (
        read(loop / f"{name}/classifier.json") for name in ("classifier", "classifier-2")
    )
    assert after["classes"] == before["classes"]
    counts = [fit["trained_on"]["counts"] for fit in (before, after)]
    assert counts[1]["val"] == counts[0]["val"]
    added = {
        name: counts[1]["train"][name] - counts[0]["train"][name] for name in before["classes"]
    }
    assert added == {"gun": 0, "cell_phone": 0, "other": asked}
    assert sha256(loop / "classifier-2/classifier.safetensors") != sha256(
        loop / "classifier/classifier.safetensors"
    )
