"""The page on large logs says what the figures kept beside it say, and its lines run in small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.bench.evaluation import LINES, make, once, page, table

REPORTS = Path(__file__).parents[2] / "reports"
LARGE = REPORTS / "evaluation-benchmarks.json"
WHY = "not measured: python -m forensics.bench.evaluation --write"


@pytest.mark.skipif(not LARGE.exists(), reason=WHY)
def test_the_page_on_large_logs_is_made_from_its_figures_and_keeps_to_the_goals() -> None:
    figures = json.loads(LARGE.read_text())
    assert LARGE.with_suffix(".md").read_text() == page(figures)
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
    text = table(figures)
    assert "| box and frame surfaces, 200 x 200 | 1.00 | 1.50 | < 5 | 700 | < 1000 |" in text
    assert "| read the run, load the truth, join them | 2.00 | 2.50 |" in text
    assert "100 times the surfaces" in text
