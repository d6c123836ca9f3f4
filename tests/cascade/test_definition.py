"""`cascade.toml`: every fault is one line that names the key."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from forensics.cascade.definition import (
    ZOO,
    bundled_cascades,
    load_cascade,
    model_file,
    summary_hash,
)
from forensics.errors import BackendError, CascadeError
from forensics.scan.settings import default_settings, open_cascade


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cascade of our own, at temperature 1."""
    mine = Path(shutil.copytree(ZOO / "handgun", tmp_path / "mine"))
    text = (mine / "cascade.toml").read_text()
    edit(mine, re.findall(r"^temperature = .*$", text, re.MULTILINE)[0], "temperature = 1.0")
    return mine


def edit(folder: Path, old: str, new: str) -> str:
    path = folder / "cascade.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return str(folder)


def test_bundled_cascades_load_and_their_hashes_hold() -> None:
    assert "handgun" in bundled_cascades()
    for name in bundled_cascades():
        cascade = load_cascade(name)
        for reference in cascade.detector.files.values():
            assert reference.load("fp32", cascade.detector.imgsz).sha256 == reference.sha256
        assert (cascade.folder / "card.md").is_file()


def test_a_folder_anywhere_is_a_cascade(tmp_path: Path) -> None:
    copy = shutil.copytree(ZOO / "handgun", tmp_path / "mine")
    mine, bundled = load_cascade(str(copy)), load_cascade("handgun")
    assert mine.sha256 == bundled.sha256
    assert mine.target_classes == ("gun",)


def test_a_bundled_name_is_never_a_folder_of_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = load_cascade("handgun")
    edit(folder, "floor = 0.05", "floor = 0.04")
    monkeypatch.chdir(folder.rename(folder.parent / "handgun").parent)
    assert load_cascade("handgun") == bundled
    assert default_settings("handgun").cascade == bundled
    for given in ("./handgun", Path("handgun"), str(folder.parent / "handgun")):
        assert load_cascade(given).detector.floor == 0.04
    assert default_settings("./handgun").cascade.detector.floor == 0.04


def test_a_folder_that_reads_like_a_name_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(CascadeError, match=r"a folder: write \./mine"):
        default_settings("mine")
    assert default_settings("./mine").cascade.name == "handgun"
    monkeypatch.chdir(folder)
    assert default_settings(".").cascade.name == "handgun"


def test_a_temperature_is_optional_and_part_of_the_identity(folder: Path) -> None:
    plain = load_cascade(edit(folder, "temperature = 1.0\n", ""))
    assert plain.classifier is not None
    assert plain.classifier.temperature == 1.0
    warm = load_cascade(edit(folder, "min_side = 24", "min_side = 24\ntemperature = 1.75"))
    assert warm.classifier is not None
    assert warm.classifier.temperature == 1.75
    assert summary_hash(warm, "fp32") != summary_hash(plain, "fp32")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "handgun"', "name = 3", "name has the wrong type"),
        ('version = "1.2.0"\n', "", "version is missing"),
        ("schema = 1", "schema = 99", "schema is not 1"),
        ("floor = 0.05", "floor = 5", "floor is not between 0 and 1"),
        ("floor = 0.05", "floor = true", "floor has the wrong type"),
        ('candidates = ["gun"]', 'candidates = ["knife"]', "candidates names"),
        ('targets = ["gun"]', 'targets = ["knife"]', "targets names"),
        ('classes = ["gun"]', "classes = []", "classes is empty"),
        ('colour = "grey"', 'colour = "blue"', "colour is neither"),
        ("std = [1.0, 1.0, 1.0]", "std = [1.0, 0.0, 1.0]", "std is not positive"),
        ("std = [1.0, 1.0, 1.0]", "std = [1.0]", "std is not three numbers"),
        ("imgsz = 640", "imgsz = 0", "imgsz is out of range"),
        ("detector.fp32.onnx", "../detector.fp32.onnx", "file leaves the cascade's folder"),
        ("[detector.files.fp32]", "[detector.files.fp16]", "files has no fp32 reference"),
        ("[events]", "[occasions]", "events is missing"),
        ('["fp32"]', '["bf16"]', "arithmetic leaves out fp32"),
        ("schema = 1", "schema = = 1", "not valid TOML"),
        ('classes = ["gun"]', "classes = [1, 2]", "classes is not a list of names"),
        ('classes = ["gun"]', 'classes = ["gun", "gun"]', "classes is empty or repeats"),
        ("mean = [0.0, 0.0, 0.0]", "mean = [0.0, nan, 0.0]", "mean is not three numbers"),
        ("mean = [0.0, 0.0, 0.0]", "mean = [0.0, true, 0.0]", "mean is not three numbers"),
        ("padding = 1.0", "padding = nan", "padding is out of range"),
        ("padding = 1.0", "padding = inf", "padding is out of range"),
        ("padding = 1.0", "padding = -1.4", "padding is not above 0"),
        ("nms_iou = 0.5", "nms_iou = nan", "nms_iou is out of range"),
        ("gap_s = 5.0", "gap_s = -5.0", "gap_s is not above 0"),
        ('"detector.fp32.onnx"', '".."', "file leaves the cascade's folder"),
        ('"detector.fp32.onnx"', '"/etc/passwd"', "file leaves the cascade's folder"),
        ('"detector.fp32.onnx"', '"a\\u0000.onnx"', "file leaves the cascade's folder"),
        ("temperature = 1.0", "temperature = 0", "temperature is not above 0"),
        ("temperature = 1.0", "temperature = inf", "temperature is out of range"),
        ("temperature = 1.0", "temperature = true", "temperature has the wrong type"),
        ("[detector]", "[[detector]]", "not valid TOML|detector has the wrong type"),
    ],
)
def test_a_fault_names_the_key(folder: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(CascadeError, match=message) as caught:
        load_cascade(edit(folder, old, new))
    assert "\n" not in str(caught.value)


def test_unknown_name_lists_the_bundled() -> None:
    with pytest.raises(CascadeError, match="bundled: handgun"):
        load_cascade("sword")


def test_folder_without_definition(tmp_path: Path) -> None:
    with pytest.raises(CascadeError, match="cannot read"):
        load_cascade(str(tmp_path))


def test_another_model_file_is_refused(folder: Path) -> None:
    model = folder / "detector.fp32.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(CascadeError, match="has SHA-256"):
        open_cascade(default_settings(str(folder), precision="fp32"))


def test_missing_model_file(folder: Path) -> None:
    (folder / "classifier.fp32.onnx").unlink()
    with pytest.raises(BackendError, match=r"cannot read model .*classifier"):
        open_cascade(default_settings(str(folder), precision="fp32"))


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_class_count_must_fit_the_model(folder: Path, backend: str) -> None:
    cascade = edit(folder, '"bag", "other"]', '"bag"]')
    with pytest.raises(CascadeError, match="class count"):
        open_cascade(default_settings(cascade, backend))
    shutil.copy(ZOO / "handgun" / "cascade.toml", folder)
    cascade = edit(folder, 'classes = ["gun"]', 'classes = ["gun", "knife"]')
    with pytest.raises(CascadeError, match="class count"):
        open_cascade(default_settings(cascade, backend))


def test_two_cascades_have_two_hashes(folder: Path) -> None:
    other = load_cascade(edit(folder, "floor = 0.05", "floor = 0.04"))
    assert other.sha256 != load_cascade("handgun").sha256
    settings = default_settings(str(folder))
    assert settings.config_hash() != default_settings().config_hash()


def test_fp16_needs_no_file_where_an_engine_makes_it(folder: Path) -> None:
    """It may be called checked without one; only TensorRT takes it so."""
    cascade = load_cascade(edit(folder, '["int8", "fp32"]', '["fp16", "int8", "fp32"]'))
    files = cascade.detector.files
    assert model_file(files, "fp16") == files["fp32"]
    assert model_file(files, "int8") == files["int8"]
    settings = default_settings(str(folder), "openvino")
    assert settings.precision == "int8"
    made = replace(settings, backend="tensorrt", precision="fp16")
    assert len({made.config_hash(), replace(made, precision="fp32").config_hash()}) == 2
    with pytest.raises(CascadeError, match="has no fp16 models"):
        replace(settings, precision="fp16")
    with pytest.raises(KeyError):
        model_file(files, "int4")
