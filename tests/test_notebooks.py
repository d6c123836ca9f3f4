"""The notebooks run on the bundled sample, and the outputs that they are kept with are current."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.support.data import ROOT
from tests.support.examples import Done

sys.path.insert(0, str(ROOT / "notebooks"))
from execute import execute

FOLDER = ROOT / "notebooks"
READING = ("01_threshold_trade_offs", "02_where_the_cascade_helps")
TRAINING = "03_mine_train_compare"
NAMES = (*READING, TRAINING)
LARGEST = 300_000
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])")


def kept(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def texts(notebook: Any) -> list[str]:
    """What each code cell printed or showed, pictures left out."""
    return [
        "\n".join(
            output["text"] if output.output_type == "stream" else output.data.get("text/plain", "")
            for output in cell.outputs
        )
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def pictures(notebook: Any) -> list[int]:
    """How many pictures each code cell shows."""
    return [
        sum(1 for output in cell.outputs for kind in output.get("data", {}) if "image/" in kind)
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in NUMBER.findall(text)]


def run_of(sample_scan: tuple[Path, Done]) -> Path:
    folder, done = sample_scan
    assert done.returncode == 0, done.stderr
    return folder / "RUN"


@pytest.mark.parametrize("name", READING)
def test_kept_outputs_are_current(name: str, sample_scan: tuple[Path, Done]) -> None:
    """Cell by cell: as many pictures, and the same numbers within what other CPUs may change."""
    now, before = execute(FOLDER / f"{name}.ipynb", run_of(sample_scan)), kept(name)
    assert pictures(now) == pictures(before)
    assert sum(pictures(now)) >= 4
    for cell, (new, old) in enumerate(zip(texts(now), texts(before), strict=True)):
        found, expected = numbers(new), numbers(old)
        assert len(found) == len(expected), f"code cell {cell}: run `make notebooks`\n{new}\n{old}"
        for value, wanted in zip(found, expected, strict=True):
            assert abs(value - wanted) <= max(3, 0.05 * abs(wanted)), f"code cell {cell}\n{new}"


def test_the_training_loop_runs(sample_scan: tuple[Path, Done]) -> None:
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    now, before = execute(FOLDER / f"{TRAINING}.ipynb", run_of(sample_scan)), kept(TRAINING)
    assert [bool(text) for text in texts(now)] == [bool(text) for text in texts(before)]
    assert pictures(now) == pictures(before)
    told = "\n".join(texts(now))
    for words in ("train: ", "cluster 0", "best epoch", "cascade rehearsal 0.1", "B, new"):
        assert words in told


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_kept_small_whole_and_clean(name: str) -> None:
    path = FOLDER / f"{name}.ipynb"
    notebook = kept(name)
    nbformat.validate(notebook)
    assert path.stat().st_size < LARGEST
    told = "\n".join(texts(notebook))
    assert told and "Traceback" not in told
    assert not re.search(r"/(tmp|home|root|work|Users)/", path.read_text())
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.execution_count is None
            assert all(output.output_type != "error" for output in cell.outputs)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "planted" in prose
