"""The page on large logs says what the figures kept beside it say, and they keep to the goals."""

from __future__ import annotations

import json
from pathlib import Path

from forensics.bench.evaluation import LINES, page

REPORTS = Path(__file__).parents[2] / "reports"


def test_the_page_is_made_from_its_figures_and_keeps_to_the_goals() -> None:
    figures = json.loads((REPORTS / "evaluation-benchmarks.json").read_text())
    assert (REPORTS / "evaluation-benchmarks.md").read_text() == page(figures)
    assert figures["detections"] >= 10_000_000 and figures["frames"] >= 9_000_000
    for name, (_, _, megabytes) in LINES.items():
        if megabytes is not None:
            assert figures["measured"][name]["peak_mb"] < megabytes, name
