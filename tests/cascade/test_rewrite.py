"""A copy of a cascade with another operating point: the same otherwise, and whole or not there."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from forensics.cascade.definition import FILE_NAME, CascadeDefinition, load_cascade
from forensics.cascade.rewrite import (
    check_same_cascade,
    replace_operating_point,
    rewrite_cascade,
    shortest,
)
from forensics.errors import CascadeError
from forensics.types import OperatingPoint

POINT = OperatingPoint(float.fromhex("0x1.99999ap-5"), 0.73)  # float32(0.05), 0.73
TEXT = """\
schema = 1  # of this file
arithmetic = ["fp32"]
name = "small"
version = "1"
licence = "AGPL-3.0-or-later"
description = "a [operating_point] in text"

[detector]
imgsz = 64
classes = ["gun"]
candidates = ["gun"]
floor = 0.05
nms_iou = 0.5
max_detections = 100
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
files.fp32 = {{ file = "d.onnx", sha256 = "{detector}" }}

[operating_point]  # what is an alarm
# measured by hand
classifier = 0.5   # second stage
detector = 0.25# first stage
chosen = 'round "numbers" # not tuned'

[classifier]
imgsz = 32
classes = ["gun", "other"]
targets = ["gun"]
colour = "grey"
padding = 1.4
min_side = 24
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
files.fp32 = {{ file = "c.onnx", sha256 = "{classifier}" }}

[events]
gap_s = 5.0
confirm_hits = 1
confirm_frames = 1
"""


@pytest.fixture
def source(tmp_path: Path) -> CascadeDefinition:
    folder = tmp_path / "small"
    folder.mkdir()
    hashes = {}
    for stage in ("detector", "classifier"):
        data = stage.encode() * 1000
        (folder / f"{stage[0]}.onnx").write_bytes(data)
        hashes[stage] = hashlib.sha256(data).hexdigest()
    (folder / "card.md").write_text("what it can do")
    (folder / FILE_NAME).write_text(TEXT.format(**hashes))
    return load_cascade(str(folder))


def test_only_the_operating_point_changes(source: CascadeDefinition, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "tuned"
    copy = rewrite_cascade(source, out, POINT, 'at most 5 "per day" \\ \x7f\n')
    assert copy == replace(
        source,
        folder=out,
        detector=copy.detector,
        classifier=copy.classifier,
        operating_point=OperatingPoint(0.05, 0.73),
        chosen_how='at most 5 "per day" \\ \x7f\n',
        sha256=copy.sha256,
    )
    assert copy.sha256 == hashlib.sha256((out / FILE_NAME).read_bytes()).hexdigest()
    before = (source.folder / FILE_NAME).read_text().splitlines()
    after = (out / FILE_NAME).read_text().splitlines()
    changed = [line for old, line in zip(before, after, strict=True) if old != line]
    assert changed[0] == "classifier = 0.73   # second stage"
    assert changed[1] == "detector = 0.05# first stage"
    assert len(changed) == 3
    assert {path.name for path in out.iterdir()} == {FILE_NAME, "d.onnx", "c.onnx", "card.md"}
    assert (out / "d.onnx").read_bytes() == (source.folder / "d.onnx").read_bytes()
    assert sorted(path.name for path in out.parent.iterdir()) == ["tuned"]


def test_a_copy_can_be_copied_again(source: CascadeDefinition, tmp_path: Path) -> None:
    first = rewrite_cascade(source, tmp_path / "a", OperatingPoint(0.3, 0.4), "once")
    second = rewrite_cascade(first, tmp_path / "b", source.operating_point, source.chosen_how)
    assert second.operating_point == source.operating_point
    assert second.chosen_how == source.chosen_how


def test_the_bundled_cascade_can_be_rewritten(tmp_path: Path) -> None:
    copy = rewrite_cascade(load_cascade("handgun"), tmp_path / "out", POINT, "for a test")
    assert copy.operating_point == OperatingPoint(0.05, 0.73)
    assert copy.detector.files["fp32"].load("fp32", 640).sha256


def test_a_model_that_does_not_hash_is_not_copied(
    source: CascadeDefinition, tmp_path: Path
) -> None:
    with (source.folder / "c.onnx").open("ab") as model:
        model.write(b"x")
    with pytest.raises(CascadeError, match=r"c\.onnx has another SHA-256"):
        rewrite_cascade(source, tmp_path / "out", POINT, "")
    (source.folder / "c.onnx").unlink()
    with pytest.raises(CascadeError, match=r"lacks c\.onnx"):
        rewrite_cascade(source, tmp_path / "out", POINT, "")
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_nothing_is_overwritten(source: CascadeDefinition, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("keep")
    for out in (full, source.folder, full / "mine.txt"):
        with pytest.raises(CascadeError, match="exists already"):
            rewrite_cascade(source, out, POINT, "")
    assert (full / "mine.txt").read_text() == "keep"
    (tmp_path / "empty").mkdir()
    assert rewrite_cascade(source, tmp_path / "empty", POINT, "x").chosen_how == "x"


def test_a_threshold_belongs_to_a_classifier(source: CascadeDefinition, tmp_path: Path) -> None:
    with pytest.raises(CascadeError, match="belongs to a classifier"):
        rewrite_cascade(source, tmp_path / "out", OperatingPoint(0.5, None), "")


def test_a_file_that_changed_meanwhile_is_refused(
    source: CascadeDefinition, tmp_path: Path
) -> None:
    path = source.folder / FILE_NAME
    path.write_text(path.read_text().replace("floor = 0.05", "floor = 0.01"))
    with pytest.raises(CascadeError, match="changed while"):
        rewrite_cascade(source, tmp_path / "out", POINT, "")


@pytest.mark.parametrize(
    "text",
    [
        'operating_point = { detector = 0.1, classifier = 0.2, chosen = "x" }\n',
        '[operating_point]\n"detector" = 0.1\nclassifier = 0.2\nchosen = "x"\n',
        '[operating_point]\ndetector = 0.1\nclassifier = 0.2\nchosen = """\n[x]\n"""\n',
        "operating_point.detector = 0.1\noperating_point.classifier = 0.2\n"
        'operating_point.chosen = "x"\n',
    ],
)
def test_what_cannot_be_edited_safely_is_refused(text: str) -> None:
    with pytest.raises(CascadeError, match="one line per key"):
        replace_operating_point(text, POINT, "new")


@pytest.mark.parametrize("old", ['"""\nlong\n"""', "'''a # b'''", '"say \\"x\\" # y"', '""'])
def test_strings_of_every_kind_are_replaced(old: str) -> None:
    text = f"[operating_point]\ndetector=0.1\nclassifier = 2e-1\nchosen = {old} # why\n[x]\n"
    found = tomllib.loads(replace_operating_point(text, POINT, "new"))["operating_point"]
    assert found == {"detector": 0.05, "classifier": 0.73, "chosen": "new"}


def test_thresholds_are_written_short_and_stay_the_same_float32() -> None:
    assert shortest(0.05000000074505806) == 0.05
    assert shortest(0.30000001192092896) == 0.3
    assert shortest(1e-5) == 1e-5


def test_only_the_cascade_of_the_run_is_accepted(source: CascadeDefinition) -> None:
    models = [
        {"stage": "detector", "sha256": source.detector.files["fp32"].sha256},
        {"stage": "classifier", "sha256": "00"},
    ]
    with pytest.raises(CascadeError, match="the classifier of small 1 is not the one"):
        check_same_cascade(source, {"models": models})
    with pytest.raises(CascadeError, match="the classifier"):
        check_same_cascade(source, {"models": models[:1]})
    assert source.classifier is not None
    models[1]["sha256"] = source.classifier.files["fp32"].sha256
    check_same_cascade(source, {"models": models})
    check_same_cascade(source, {"models": models, "cascade": {"temperature": 1.0}})
    with pytest.raises(CascadeError, match="another temperature"):
        check_same_cascade(source, {"models": models, "cascade": {"temperature": 1.5}})
    other = {"gap_s": 9.0, "confirm_hits": 1, "confirm_frames": 1}
    with pytest.raises(CascadeError, match="event rule"):
        check_same_cascade(source, {"models": models, "events": other})
