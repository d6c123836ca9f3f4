"""Intervals: vector V20, known values, and what they say about themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from forensics.evaluation import rates

ONES = np.ones(4)


def test_v20_cameras_that_differ_need_a_wider_interval() -> None:
    events = np.array([0, 0, 0, 8.0])
    found = rates.rate_interval(events, ONES)
    assert found.value == 2
    assert (found.low, found.high) == pytest.approx((0.0830, 48.211), abs=5e-4)
    assert rates.garwood(8, 4) == pytest.approx((0.863, 3.941), abs=5e-4)


def test_equal_cameras_are_no_narrower_than_the_exact_pooled_limits() -> None:
    found = rates.rate_interval(np.full(4, 3.0), ONES)
    assert (found.low, found.high) == pytest.approx(rates.garwood(12, 4))
    assert "widened" in found.method


def test_one_camera_says_that_its_interval_is_too_narrow() -> None:
    found = rates.rate_interval(np.array([4.0]), np.array([1.0]))
    assert (found.low, found.high) == pytest.approx((1.0899, 10.2416), abs=5e-5)
    assert "one camera: frames of one camera are not independent; too narrow" in found.method


def test_two_cameras_that_differ_say_that_they_bound_nothing() -> None:
    found = rates.rate_interval(np.array([1.0, 40]), np.ones(2))
    assert found.high > 1000 * found.value and "says next to nothing" in found.method
    alike = rates.rate_interval(np.array([20.0, 21]), np.ones(2))
    assert alike.high < 2 * alike.value and "next to nothing" not in alike.method


def test_no_events_give_two_bounds() -> None:
    found = rates.rate_interval(np.zeros(10), np.full(10, 0.25))
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(1.1983, abs=5e-5)
    assert rates.camera_bound(10) == pytest.approx(1 - 0.05**0.1)
    assert "25.9 %" in found.method


def test_no_exposure_is_undefined() -> None:
    assert rates.rate_interval(np.zeros(2), np.zeros(2)).value is None
    assert rates.proportion_interval(np.zeros(2), np.zeros(2), 0.95, 100, 1).value is None


def test_wilson_and_clopper_pearson_equal_scipy() -> None:
    for hits, total in ((9, 10), (1, 7), (5, 5), (0, 4)):
        test = binomtest(hits, total)
        wilson, exact = test.proportion_ci(method="wilson"), test.proportion_ci(method="exact")
        assert rates.wilson(hits, total) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
        assert rates.clopper_pearson(hits, total) == pytest.approx((exact.low, exact.high))


def test_a_share_without_misses_uses_the_exact_limits() -> None:
    found = rates.proportion_interval(np.full(5, 2.0), np.full(5, 2.0), 0.95, 100, 1)
    assert found.low == pytest.approx(0.025**0.1)
    assert found.high == 1 and "Clopper-Pearson" in found.method


def test_the_bootstrap_is_seeded_and_resamples_cameras() -> None:
    hits, totals = np.array([1.0, 9, 5, 2, 8, 7, 3, 6, 4, 9]), np.full(10, 10.0)
    one = rates.proportion_interval(hits, totals, 0.95, 2000, 7)
    assert one == rates.proportion_interval(hits, totals, 0.95, 2000, 7)
    assert one.method.startswith(
        "camera bootstrap (expanded percentile) over 10 cameras that count as 10.0 alike, 95 %"
    )
    assert "seed 7" in one.method
    assert one.low < rates.wilson(54, 100)[0] and one.high > rates.wilson(54, 100)[1]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12),
    st.integers(0, 99),
)
def test_limits_enclose_the_value_and_stay_in_range(pairs, seed) -> None:
    hits = np.array([min(pair) for pair in pairs], float)
    totals = np.array([max(pair) for pair in pairs], float)
    found = rates.proportion_interval(hits, totals, 0.95, 200, seed)
    if totals.sum():
        assert 0 <= found.low <= found.value <= found.high <= 1
    rate = rates.rate_interval(hits, totals)
    if totals.sum():
        assert 0 <= rate.low <= rate.value <= rate.high


def test_pooled_intervals_fail_between_cameras_where_log_t_holds() -> None:
    """A small copy of the coverage study: 30 cameras, gamma rates of CV 1."""
    rng = np.random.default_rng(1)
    pooled = between = 0
    for _ in range(200):
        events = rng.poisson(rng.gamma(1.0, 20.0, 30)).astype(float)
        found = rates.rate_interval(events, np.ones(30))
        low, high = rates.garwood(events.sum(), 30)
        between += found.low <= 20 <= found.high
        pooled += low <= 20 <= high
    assert pooled < 110 and between > 175
