"""Levels of the bootstrap: the effective number of cameras, and what the expansion is for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from forensics.evaluation.rates import proportion_interval
from forensics.evaluation.resampled import effective_cameras, expanded_levels


def test_cameras_count_by_what_they_tell() -> None:
    assert effective_cameras(np.full(8, 5.0)) == pytest.approx(8)
    assert effective_cameras(np.array([8.0, 0, 0, 0])) == pytest.approx(1)
    assert effective_cameras(np.array([3.0, 1, 1, 1])) == pytest.approx(3)  # 36 / 12
    assert effective_cameras(np.zeros(4)) == 0
    many = effective_cameras(np.array([[1.0, 3], [1, 1], [1, 1], [1, 1]]))
    assert many.tolist() == pytest.approx([4, 3])


@pytest.mark.parametrize("n", [6, 8, 30, 60])
def test_percentiles_of_a_normal_bootstrap_become_students_interval(n: int) -> None:
    """A bootstrap of a mean has the spread sqrt((n - 1) / n) s: its limits must be those of t."""
    low, high = expanded_levels(0.95, n)
    assert stats.norm.ppf(low) * np.sqrt((n - 1) / n) == pytest.approx(stats.t.ppf(0.025, n - 1))
    assert high == 1 - low


def test_many_cameras_need_no_expansion_and_few_have_a_bounded_one() -> None:
    assert expanded_levels(0.95, 1e9) == pytest.approx([0.025, 0.975])
    for few in (0.0, 1.0, 1.5, 2.0, 4.9):
        assert expanded_levels(0.95, few) == pytest.approx([0.001, 0.999])
    low, _ = expanded_levels(0.5, 1.0)  # a 25th of the plain level, whatever the confidence
    assert low == pytest.approx(0.01)
    assert expanded_levels(0.9, np.array([[4.0, 1.0]])).shape == (2, 1, 2)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.floats(0.5, 0.999))
def test_levels_are_levels_and_never_narrower_than_plain_ones(events, confidence) -> None:
    count = effective_cameras(np.array(events))
    assert 0 <= count <= len(events) * (1 + 1e-9)
    low, high = expanded_levels(confidence, count)
    assert 0 < low <= (1 - confidence) / 2 + 1e-12
    assert (1 + confidence) / 2 - 1e-12 <= high < 1


def test_plain_percentiles_fail_with_eight_cameras_where_expanded_ones_hold() -> None:
    """A small copy of the coverage study: recall of hard and easy cameras, 0.75 on average."""
    rng = np.random.default_rng(1)
    plain = expanded = 0
    for _ in range(300):
        totals = rng.poisson(5, 8).astype(float)
        hits = rng.binomial(totals.astype(int), rng.beta(3, 1, 8)).astype(float)
        found = proportion_interval(hits, totals, 0.95, 500, 1)
        draws = np.random.default_rng(1).integers(0, 8, (500, 8))
        shares = hits[draws].sum(axis=1) / totals[draws].sum(axis=1)
        low, high = np.quantile(shares, [0.025, 0.975])
        expanded += found.low <= 0.75 <= found.high
        plain += low <= 0.75 <= high
    assert plain < 0.905 * 300 and expanded > 0.915 * 300
