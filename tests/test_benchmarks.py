"""The benchmark page says what the figures kept beside it say."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import pytest

from bench.__main__ import page
from bench.evaluation import LINES, make, once
from bench.evaluation import page as large_page
from bench.evaluation import table as large_table
from bench.modes import modes_table

REPORTS = Path(__file__).parents[1] / "reports"


def test_page_is_made_from_the_figures() -> None:
    figures = json.loads((REPORTS / "benchmarks.json").read_text())
    assert (REPORTS / "benchmarks.md").read_text() == page(figures)


def test_medians_are_those_of_the_rounds() -> None:
    figures = json.loads((REPORTS / "benchmarks.json").read_text())
    for name, values in figures["rounds"].items():
        assert figures["median_frames_per_s"][name] == median(values)
        assert len(values) >= 3, name


def test_modes_are_compared_within_their_rounds() -> None:
    """The machine is twice as fast in the second round; the ratio is not moved by that."""
    table = modes_table({"640": [10.0, 20.0], "1280": [2.5, 5.0]})
    assert "| 640 | 15.00 | 1.00 |" in table
    assert "| 1280 | 3.75 | 4.00 |" in table


LARGE = REPORTS / "evaluation-benchmarks.json"


@pytest.mark.skipif(not LARGE.exists(), reason="not measured: python -m bench.evaluation --write")
def test_the_page_on_large_logs_is_made_from_its_figures_and_keeps_to_the_goals() -> None:
    figures = json.loads(LARGE.read_text())
    assert LARGE.with_suffix(".md").read_text() == large_page(figures)
    assert figures["detections"] >= 10_000_000 and figures["frames"] >= 9_000_000
    for name, (_, _, megabytes) in LINES.items():
        if megabytes is not None:
            assert figures["measured"][name]["peak_mb"] < megabytes, name


def test_a_large_log_is_measured_line_by_line_in_small(tmp_path: Path) -> None:
    """Every line runs, in processes of its own, and the table names each with its goal."""
    log = make(tmp_path / "log", 1500)
    for name in ("box_frame", "naive"):
        found = once(name, log, tmp_path)
        assert found["seconds"] > 0 and found["cpu_s"] > 0 and found["peak_mb"] > 50
    row = {"seconds": 1.0, "cpu_s": 1.5, "before_s": 2.0, "before_cpu_s": 2.5, "peak_mb": 700.0}
    figures = {
        "measured": dict.fromkeys(LINES, row), "detections": 1500, "frames": 1350, "videos": 2,
        "log_mb": 1.0, "machine": "M", "date": "D", "page_mb": 3.0, "naive_s": 150.0,
        "anew_s": 1500.0,
    }  # fmt: skip
    text = large_table(figures)
    assert "| box and frame surfaces, 200 x 200 | 1.00 | 1.50 | < 5 | 700 | < 1000 |" in text
    assert "| read the run, load the truth, join them | 2.00 | 2.50 |" in text
    assert "100 times the surfaces" in text
