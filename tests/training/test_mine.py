"""Mining: labels against a brute-force reading of the truth, splits, thinning, bad input."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from forensics.cli.main import run as command
from forensics.errors import TrainingError
from forensics.footage.grab import grab_frames
from forensics.runlog.reader import RunTables
from forensics.training.crops import CropRule, decode_picture, open_crops
from forensics.training.cutting import Limits, spread
from forensics.training.neighbours import difference_hash, distances, from_hex, mirrored
from forensics.training.publish import Mined
from forensics.training.splits import SplitRule, assign
from tests.support.clips import write_still
from tests.training.crop_helpers import SAMPLE, mine_sample

BOX = ("x_min", "y_min", "x_max", "y_max")


def overlap(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    sizes = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (sizes - width * height) if width * height else 0.0


def coco_boxes() -> dict[tuple[str, int], list[tuple[str, list[float]]]]:
    """The sample's boxes, read without the product's reader."""
    data = json.loads((SAMPLE / "truth" / "truth.coco.json").read_text())
    classes = {entry["id"]: entry["name"] for entry in data["categories"]}
    images = {entry["id"]: entry for entry in data["images"]}
    found: dict[tuple[str, int], list[tuple[str, list[float]]]] = defaultdict(list)
    for entry in data["annotations"]:
        if entry["iscrowd"]:  # says where nothing is to be judged
            continue
        image = images[entry["image_id"]]
        x, y, w, h = entry["bbox"]
        place = (image["file_name"].split("#")[0], image["frame_index"])
        found[place].append((classes[entry["category_id"]], [x, y, x + w, y + h]))
    return found


def test_kinds_follow_the_overlap_with_truth(mined: Mined) -> None:
    boxes = coco_boxes()
    kinds = set()
    for row in mined.crops.table.to_pylist():
        here = boxes.get((row["source"], row["frame_index"]), [])
        box = [row[name] for name in BOX]
        on_gun = max([overlap(box, other) for name, other in here if name == "gun"], default=0.0)
        phones = [overlap(box, other) for name, other in here if name == "cell_phone"]
        assert row["iou"] == pytest.approx(on_gun, abs=1e-5)
        if on_gun >= 0.5:
            expected = ("target", "gun")
        elif on_gun >= 0.1:
            expected = ("near_miss", "")
        elif max(phones, default=0.0) >= 0.5:
            expected = ("confuser", "cell_phone")
        else:
            expected = ("false_alarm", "other")
        assert (row["kind"], row["label"]) == expected
        kinds.add(row["kind"])
    assert kinds == {"target", "near_miss", "false_alarm", "confuser"}


def test_a_crop_is_what_the_cascade_would_cut(mined: Mined) -> None:
    crops = mined.crops
    row = next(r for r in crops.table.to_pylist() if r["kind"] == "target")
    rgb = dict(grab_frames(SAMPLE / row["source"], [row["frame_index"]]))[row["frame_index"]]
    box = np.array([[row[name] for name in BOX]], np.float32)
    from forensics.cascade.crops import cut_crops

    wanted = cut_crops(rgb, box, CropRule().spec())[0]
    found = decode_picture((crops.folder / row["file"]).read_bytes())
    assert found is not None and np.array_equal(found, wanted)
    assert hashlib.sha256((crops.folder / row["file"]).read_bytes()).hexdigest() == row["sha256"]
    assert row["file"] == f"images/{row['split']}/gun/{row['crop_id']}.png"


def test_every_picture_is_in_the_table_once(mined: Mined) -> None:
    listed = mined.crops.table["file"].to_pylist()
    folder = mined.crops.folder
    on_disk = [path.relative_to(folder).as_posix() for path in folder.rglob("*.png")]
    assert sorted(listed) == sorted(on_disk)
    assert len(set(mined.crops.table["crop_id"].to_pylist())) == len(listed)


def test_splits_share_neither_groups_nor_near_duplicates(mined: Mined) -> None:
    rows = mined.crops.table.to_pylist()
    in_train, in_val = (
        {r["group"] for r in rows if r["split"] == split} for split in ("train", "val")
    )
    assert in_train and in_val and not in_train & in_val
    train, val = (
        from_hex([r["dhash"] for r in rows if r["split"] == split]) for split in ("train", "val")
    )
    for one in train:
        assert distances(one, val).min() > 24
        assert distances(one, mirrored(val)).min() > 24


def test_no_near_duplicates_of_a_label_within_a_split(mined: Mined) -> None:
    parts = defaultdict(list)
    for row in mined.crops.table.to_pylist():
        parts[row["split"], row["label"]].append(int(row["dhash"], 16))
    for numbers in parts.values():
        for place, one in enumerate(numbers):
            assert all((one ^ other).bit_count() > 24 for other in numbers[:place])


def test_the_same_command_gives_the_same_bytes(
    mined: Mined, mining_run: RunTables, tmp_path: Path
) -> None:
    again = mine_sample(mining_run, tmp_path / "crops")
    for path in sorted(mined.crops.folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(mined.crops.folder)
            assert (again.crops.folder / name).read_bytes() == path.read_bytes(), name


def test_what_truth_cannot_judge_is_counted(mined: Mined) -> None:
    assert sum(mined.left_out.values()) > 0
    with (mined.crops.folder / "problems.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    said = sum(int(r["what"].split()[0]) for r in rows if "detections left out" in r["what"])
    assert said == sum(mined.left_out.values()) == sum(mined.crops.manifest["left_out"].values())


def test_limits_per_file(mining_run: RunTables, tmp_path: Path) -> None:
    limits = Limits(per_source=4, false_alarms_per_source=2)
    table = mine_sample(mining_run, tmp_path / "crops", limits=limits).crops.frame()
    counts = table.groupby(["source", "kind"]).size().reset_index(name="n")
    assert counts[counts["kind"] == "false_alarm"]["n"].max() == 2
    assert counts["n"].max() <= 4


def test_spread_keeps_the_best_and_a_repeatable_sample() -> None:
    scores = [0.1, 0.9, None, 0.5, 0.7, 0.3]
    kept = spread(scores, 4, seed=1)
    assert {1, 4} <= set(kept.tolist()) and len(kept) == 4
    assert np.array_equal(kept, spread(scores, 4, seed=1))


def test_groups_are_named_or_drawn() -> None:
    groups = {"a": ["a/1.mp4"], "b": ["b/2.mp4"], "c": ["c/3.mp4"]}
    named = assign(groups, SplitRule(named=("*/2.mp4",)))
    assert named == {"a": "train", "b": "val", "c": "train"}
    drawn = assign(groups, SplitRule(share=0.34, seed=3))
    assert list(drawn.values()).count("val") == 1
    assert drawn == assign(groups, SplitRule(share=0.34, seed=3))
    assert assign({"a": ["a/1.mp4"]}, SplitRule()) == {"a": "train"}
    with pytest.raises(TrainingError, match="--val z"):
        assign(groups, SplitRule(named=("z*",)))


def test_hash_of_a_mirror_image() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (16, 17, 3), np.uint8)
    flipped = difference_hash(rgb[:, ::-1])
    assert distances(flipped, mirrored(difference_hash(rgb)[None]))[0] <= 2  # equal neighbours


def test_damaged_pictures_are_listed_and_left_out(mined: Mined, tmp_path: Path) -> None:
    folder = shutil.copytree(mined.crops.folder, tmp_path / "crops")
    first, second = mined.crops.table["file"].to_pylist()[:2]
    (folder / first).write_bytes(b"no picture")
    (folder / second).unlink()
    found = open_crops(folder)
    assert found.table.num_rows == mined.crops.table.num_rows - 2
    assert {problem.what.split(":")[0] for problem in found.problems} == {first, second}


@pytest.mark.parametrize("name", ["crops.json", "crops.parquet"])
def test_a_damaged_data_set_is_refused(mined: Mined, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(mined.crops.folder, tmp_path / "crops")
    (folder / name).write_bytes(b"{}")
    with pytest.raises(TrainingError, match=name.partition(".")[0]):
        open_crops(folder)


def test_only_crops_are_replaced_and_only_when_asked(
    mining_run: RunTables, mined: Mined, tmp_path: Path
) -> None:
    folder = shutil.copytree(mined.crops.folder, tmp_path / "crops")
    with pytest.raises(TrainingError, match="--overwrite"):
        mine_sample(mining_run, folder)
    mine_sample(mining_run, folder, overwrite=True, limits=Limits(per_source=1))
    assert open_crops(folder).table.num_rows < mined.crops.table.num_rows
    other = tmp_path / "letters"
    other.mkdir()
    (other / "dear.txt").write_text("keep me")
    with pytest.raises(TrainingError, match="something else"):
        mine_sample(mining_run, other, overwrite=True)
    assert (other / "dear.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"crops", "letters"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six stills with YOLO labels: one image is corrupt, three label files are at fault."""
    folder = tmp_path / "photos"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for number, name in enumerate(("good", "outside", "nonsense", "strange", "alone")):
        write_still(folder / "images" / f"{name}.jpg", 3 * number, size=(160, 120))
    (folder / "images" / "corrupt.jpg").write_bytes(b"\xff\xd8 no more")
    labels = {
        "good": "0 0.5 0.5 0.4 0.4\n",
        "outside": "0 0.2 0.2 0.1 0.1\n0 1.9 0.5 0.1 0.1\n",
        "nonsense": "0 0.5 0.5 0.4 0.4\n0 half 0.5 0.4 0.4\n",
        "strange": "1 0.5 0.5 0.5 0.5\n",
        "alone": "2 0.5 0.5 0.5 0.5\n",
        "corrupt": "0 0.5 0.5 0.4 0.4\n",
        "missing": "0 0.5 0.5 0.4 0.4\n",
    }
    for name, text in labels.items():
        (folder / "labels" / f"{name}.txt").write_text(text)
    (folder / "data.yaml").write_text("names: [pistol, teapot, other]\n")
    return folder


def mine_photos(photos: Path, out: Path, *more: str) -> int:
    options = "--camera file --imgsz 64 --backend onnxruntime --threads 1 --truth-crops"
    return command(
        [
            *("mine", str(photos / "images"), "--truth", str(photos / "labels"), "--out", str(out)),
            *options.split(),
            *more,
        ]
    )


def test_bad_samples_are_listed_with_file_and_line(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "crops"
    assert mine_photos(photos, out, "--class-map", "pistol=gun", "--confuser", "cell_phone") == 0
    with (out / "problems.csv").open() as stream:
        rows = [(r["file"], r["line"], r["what"]) for r in csv.DictReader(stream)]

    def said(file: str, line: str, what: str) -> bool:
        return any((f, n) == (file, line) and what in w for f, n, w in rows)

    assert said("outside.txt", "2", "outside the picture")
    assert said("nonsense.txt", "2", "not a number")
    assert said("strange.txt", "1", "class 'teapot'")
    assert said("missing.txt", "", "not in the run")
    assert said("corrupt.jpg", "", "unreadable")
    shown = capsys.readouterr().out
    assert "problems.csv" in shown and "cell_phone has no crop" in shown
    table = open_crops(out).frame()
    assert set(table[table["kind"] == "target"]["source"]) == {"good.jpg"}
    assert "other" in set(table[table["source"] == "alone.jpg"]["truth_class"])


def test_a_clear_stop_when_nothing_is_left(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(photos / "labels")
    (photos / "labels").mkdir()
    (photos / "labels" / "alone.txt").write_text("0 1.9 0.5 0.1 0.1\n")
    out = tmp_path / "crops"
    assert mine_photos(photos, out, "--class-map", "pistol=gun") == 1
    assert "no crop is left" in capsys.readouterr().err
    assert not out.exists()
    assert "alone.txt,1," in (tmp_path / "crops.partial" / "problems.csv").read_text()


def test_classes_from_folders(tmp_path: Path) -> None:
    for number, name in enumerate(("revolver/1", "revolver/2", "cup/1", "wrench/1")):
        path = tmp_path / "objects" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_still(path, 5 * number, size=(100, 60))
    (tmp_path / "objects" / "cup" / "2.jpg").write_bytes(b"damaged")
    out = tmp_path / "crops"
    given = ["mine", str(tmp_path / "objects"), "--recursive", "--label-from-folder"]
    given += ["--class-map", "revolver=gun", "--class-map", "cup=other", "--out", str(out)]
    assert command([*given, "--val-share", "0"]) == 0
    crops = open_crops(out)
    found = {row["source"]: row["label"] for row in crops.table.to_pylist()}
    expected = {"revolver/1.jpg": "gun", "revolver/2.jpg": "gun", "cup/1.jpg": "other"}
    assert found.items() <= expected.items()
    assert {"gun", "other"} == set(found.values())
    assert set(crops.table["side_px"].to_pylist()) <= {100, 101}  # the picture, and no more
    problems = (out / "problems.csv").read_text()
    assert "wrench/1.jpg,,class 'wrench' is unknown" in problems and "cup/2.jpg" in problems


def test_all_other_folders_get_the_class_of_the_star(tmp_path: Path) -> None:
    for number, name in enumerate(("umbrella", "stapler")):
        (tmp_path / "objects" / name).mkdir(parents=True)
        write_still(tmp_path / "objects" / name / "1.jpg", 40 * number, size=(100, 60))
    out = tmp_path / "crops"
    given = ["mine", str(tmp_path / "objects"), "--recursive", "--label-from-folder"]
    given += ["--confuser", "umbrella", "--class-map", "*=other", "--out", str(out)]
    assert command([*given, "--val-share", "0"]) == 0
    found = {row["source"]: row["label"] for row in open_crops(out).table.to_pylist()}
    assert found == {"umbrella/1.jpg": "umbrella", "stapler/1.jpg": "other"}


def test_changed_footage_is_not_cut(mining_run: RunTables, tmp_path: Path) -> None:
    base = shutil.copytree(SAMPLE, tmp_path / "sample", ignore=shutil.ignore_patterns("planting"))
    (base / "gate-plain.mp4").write_bytes((base / "wall-cup.mp4").read_bytes())
    (base / "gate-phone.mp4").unlink()
    moved = replace(mining_run, manifest=mining_run.manifest | {"base": str(base)})
    found = mine_sample(moved, tmp_path / "crops")
    listed = {problem.where: problem.what for problem in found.problems}
    assert "not the one that was scanned" in listed["gate-plain.mp4"]
    assert "no longer at its place" in listed["gate-phone.mp4"]


def test_pictures_can_be_read_by_others(mined: Mined) -> None:
    path = mined.crops.folder / mined.crops.table["file"][0].as_py()
    found = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(found[..., ::-1], mined.crops.pictures([0])[0])
