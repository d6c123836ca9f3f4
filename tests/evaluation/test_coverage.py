"""The simulation of reports/coverage.md in small, and the page that is made from its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.bench.coverage import LEAST_COVERED, RISK, SLACK, broken, coverage, page

REPORTS = Path(__file__).parents[2] / "reports"
HARDEST, SHORT = "difference of unlike runs, 50 a camera", 0.02
PER_DAY = "at most 5 false alerts per camera-day"


@pytest.mark.parametrize("cameras", [8, 30])
def test_rates_of_cameras_that_differ_are_covered(cameras: int) -> None:
    """Nominal 95 %; with 400 runs the observed share is within 5 points almost surely."""
    found = coverage("rate, 50 false alarms a camera", cameras, 400, seed=11)
    assert LEAST_COVERED - 0.05 < found["covered"] <= 1
    assert found["undefined"] == 0


@pytest.mark.parametrize(
    "name",
    [
        "ratio of two arms, 50 a camera",
        "difference of two arms, 5 a camera",
        "recall, 5 incidents a camera",
        "precision, 5 true and false a camera",
    ],
)
def test_bootstrap_intervals_hold_with_eight_cameras(name: str) -> None:
    """Plain percentiles and BCa held in 80 to 89 % of runs."""
    found = coverage(name, 8, 300, seed=11)
    assert LEAST_COVERED <= found["covered"] <= 1
    assert found["undefined"] == 0


def test_a_promise_is_kept_far_more_often_than_a_choice_by_eye() -> None:
    kept = broken(PER_DAY, 1.0, 30, 60, seed=2)
    by_eye = broken(PER_DAY, 1.0, 30, 60, seed=2, guarantee=False)
    assert kept["chosen"] > 0.9
    assert kept["broken"] <= RISK + SLACK + 0.08
    assert by_eye["broken"] > 0.3


def test_the_page_is_made_from_the_figures_and_keeps_its_word() -> None:
    figures = json.loads((REPORTS / "coverage.json").read_text())
    assert (REPORTS / "coverage.md").read_text() == page(figures)
    for row in figures["coverage"]:
        hard = row["interval"] == HARDEST and row["cameras"] == 8
        assert row["covered"] >= LEAST_COVERED - (SHORT if hard else 0), row
    for row in figures["promises"]:
        if row["guarantee"]:
            assert row["broken"] <= row["risk"] + SLACK, row
