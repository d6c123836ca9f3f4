"""The simulation of reports/coverage.md in small, and the page that is made from its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.bench.coverage import LEAST_COVERED, RISK, SLACK, broken, coverage, page

REPORTS = Path(__file__).parents[2] / "reports"
PER_DAY = "at most 5 false alerts per camera-day"


@pytest.mark.parametrize("cameras", [8, 30])
def test_rates_of_cameras_that_differ_are_covered(cameras: int) -> None:
    """Nominal 95 %; with 400 runs the observed share is within 5 points almost surely."""
    found = coverage("rate, 50 false alarms a camera", cameras, 400, seed=11)
    assert LEAST_COVERED - 0.05 < found["covered"] <= 1
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
        if row["interval"].startswith("rate"):
            assert row["covered"] >= LEAST_COVERED, row
    for row in figures["promises"]:
        if row["guarantee"]:
            assert row["broken"] <= row["risk"] + SLACK, row
