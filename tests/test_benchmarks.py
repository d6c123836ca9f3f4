"""The benchmark page says what the figures kept beside it say."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

from bench.__main__ import page
from bench.evaluation import LINES
from bench.evaluation import page as large_page
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


def test_the_page_on_large_logs_is_made_from_its_figures_and_keeps_to_the_goals() -> None:
    figures = json.loads((REPORTS / "evaluation-benchmarks.json").read_text())
    assert (REPORTS / "evaluation-benchmarks.md").read_text() == large_page(figures)
    assert figures["detections"] >= 10_000_000 and figures["frames"] >= 9_000_000
    for name, (_, _, megabytes) in LINES.items():
        if megabytes is not None:
            assert figures["measured"][name]["peak_mb"] < megabytes, name
