"""The shape of the code base: short modules and functions, libraries where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import forensics

PACKAGE = Path(forensics.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
# Library -> the only modules (or folders of modules) that may import it.
HOMES = {
    "av": ("footage/", "bench/clips.py"),
    "click": ("cli/",),
    "openvino": ("backends/ov", "bench/peer.py"),
    "onnxruntime": ("backends/ort.py", "backends/graphs.py", "training/"),
    "onnx": ("backends/graphs.py", "training/"),
    "tensorrt": ("backends/trt_library.py",),
    "tensorrt_rtx": ("backends/trt_library.py",),
    "sqlite3": ("runlog/ledger.py",),
    "subprocess": ("footage/reader.py", "bench/processes.py"),
    "torch": ("cascade/on_device.py", "training/"),
    "timm": ("training/",),
    "ultralytics": ("training/", "bench/peer.py"),
    "sklearn": ("training/",),
    "safetensors": ("training/",),
    "pickle": (),
    "requests": (),
    "urllib": (),
    "socket": (),
}
# OpenCV dies on odd file names and hides damage: it sees arrays, never files.
OPENCV_FILES = {"VideoCapture", "VideoWriter", "imread", "imwrite", "imreadmulti", "FileStorage"}
OPENCV_FILES |= {"imreadanimation", "imwritemulti", "imcount", "dnn"}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_MODULE
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_libraries_stay_at_home(path: Path) -> None:
    for module in imported(tree_of(path)):
        homes = HOMES.get(module.partition(".")[0])
        if homes is not None:
            assert name_of(path).startswith(homes or ("nowhere",)), f"imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_opencv_never_sees_a_file(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used = node.attr if node.value.id == "cv2" else ""
            assert used not in OPENCV_FILES, f"line {node.lineno}: cv2.{used}"
        if isinstance(node, ast.ImportFrom) and node.module == "cv2":
            assert not {alias.name for alias in node.names} & OPENCV_FILES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)) or not path.read_text().strip()
