"""Augmentations: a picture stays one, the same draw gives the same, labels play no part."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forensics.training import augment as module
from forensics.training.augment import (
    EFFECTIVE_PX,
    augment,
    compress,
    effective_side,
    exposure,
    flip,
    grey,
    infrared,
    motion_blur,
    rescale,
    sensor_noise,
    shrink,
    wander,
)

DRAWING = (flip, wander, motion_blur, rescale, exposure, infrared, sensor_noise, compress, augment)
PICTURES = st.integers(8, 40).flatmap(lambda n: arrays(np.uint8, (n, n, 3)))


@pytest.mark.parametrize("change", DRAWING, ids=lambda f: f.__name__)
@settings(max_examples=25, deadline=None)
@given(rgb=PICTURES, seed=st.integers(0, 2**32))
def test_a_picture_stays_a_picture(change: Callable[..., Any], rgb: Any, seed: int) -> None:
    before = rgb.copy()
    first, second = (change(rgb, np.random.default_rng(seed)) for _ in range(2))
    assert first.shape == rgb.shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(rgb, before)


@given(st.integers(0, 2**32))
def test_no_effective_side_is_out_of_range(seed: int) -> None:
    assert EFFECTIVE_PX[0] <= effective_side(np.random.default_rng(seed)) <= EFFECTIVE_PX[1]


def test_effective_sides_are_spread_over_scales() -> None:
    rng = np.random.default_rng(0)
    sides = np.array([effective_side(rng) for _ in range(4000)])
    middle = np.sqrt(EFFECTIVE_PX[0] * EFFECTIVE_PX[1])
    assert np.mean(sides < middle) == pytest.approx(0.5, abs=0.03)


def test_shrinking_loses_detail_and_keeps_the_mean() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    small = shrink(rgb, 8)
    assert small.shape == (8, 8, 3)
    assert small.std() < rgb.std() / 4
    assert small.mean() == pytest.approx(rgb.mean(), abs=1)
    np.testing.assert_array_equal(shrink(small, 16), small)


def test_grey_is_the_greying_of_the_cascade() -> None:
    from forensics.cascade.crops import cut_crops
    from forensics.cascade.definition import load_cascade

    spec = load_cascade("handgun").classifier
    assert spec is not None
    assert spec.grey
    rgb = np.random.default_rng(1).integers(0, 256, (spec.imgsz, spec.imgsz, 3), dtype=np.uint8)
    side = spec.imgsz / spec.padding  # the square around it is the whole picture
    low, high = (spec.imgsz - side) / 2, (spec.imgsz + side) / 2
    cut = cut_crops(rgb, np.array([[low, low, high, high]], np.float32), spec)[0]
    np.testing.assert_array_equal(grey(rgb), cut)


def test_blur_smears_along_a_line_and_adds_no_light() -> None:
    rgb = np.zeros((48, 48, 3), np.uint8)
    rgb[24, 24] = 240
    seen = motion_blur(rgb, np.random.default_rng(3))
    assert 2 <= np.count_nonzero(seen[..., 0]) <= 6
    assert seen[..., 0].sum() == pytest.approx(240, rel=0.1)


def test_infrared_is_almost_without_colour() -> None:
    rgb = np.zeros((32, 32, 3), np.uint8)
    rgb[..., 0] = 200
    seen = infrared(rgb, np.random.default_rng(0)).astype(int)
    assert np.ptp(seen, axis=2).max() < 40


def test_the_wanted_share_is_grey() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    rng = np.random.default_rng(0)
    grey_ones = [np.ptp(augment(rgb, rng, grey_share=1.0), axis=2).max() == 0 for _ in range(20)]
    assert all(grey_ones)
    half = [np.ptp(augment(rgb, rng), axis=2).max() == 0 for _ in range(200)]
    assert 0.35 < np.mean(half) < 0.65


def test_no_augmentation_can_see_a_label() -> None:
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__:
            known = set(inspect.signature(function).parameters)
            assert not known & {"label", "target", "split"}, name
