"""A network that sees less around a box than the crops that it is trained on show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.boxes import square_crop
from forensics.cascade.crops import cut_crops
from forensics.training.batches import middle, plain_batches
from forensics.training.calibrate import check_fits
from forensics.training.classifier_model import FitMeta, load_fit
from forensics.training.crops import CropRule
from forensics.training.examples import gather
from forensics.training.train_classifier import train_classifier
from tests.support.crops import QUICK_TRAINING, SHAPES, write_crops

RULE = CropRule(imgsz=112, padding=1.4, min_side=24)


def meta_of(imgsz: int, padding: float) -> FitMeta:
    half = (0.5, 0.5, 0.5)
    return FitMeta(
        model="test_efficientnet",
        classes=("gun", "other"),
        targets=("gun",),
        imgsz=imgsz,
        padding=padding,
        min_side=RULE.min_side,
        colour="rgb",
        mean=half,
        std=half,
        crop_imgsz=RULE.imgsz,
        crop_padding=RULE.padding,
    )


def smooth(seed: int) -> np.ndarray:
    """A picture without edges, uint8 (240, 320, 3): half a pixel more or less hardly shows."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:240, :320] / 100
    waves = [np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-3, 3, (3, 3))]
    return np.rint(127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


@given(
    side=st.floats(4, 90),
    padding=st.floats(0.8, 1.4),
    imgsz=st.integers(32, 64),
    seed=st.integers(0),
)
def test_it_sees_what_the_cascade_would_cut(
    side: float, padding: float, imgsz: int, seed: int
) -> None:
    rgb, meta = smooth(seed), meta_of(imgsz, padding)
    xyxy = np.array([[160 - side / 2, 120 - side / 3, 160 + side / 2, 120 + side / 3]], np.float32)
    wide = cut_crops(rgb, xyxy, RULE.spec())[0]
    left, _, right, _ = square_crop(xyxy, RULE.padding, RULE.min_side)[0]
    found = middle(wide, meta.share_of(int(right - left)), imgsz)
    wanted = cut_crops(rgb, xyxy, meta.crop_spec())[0]
    assert found.shape == wanted.shape == (imgsz, imgsz, 3)
    assert np.abs(found.astype(float) - wanted).mean() < 6


def test_all_of_a_crop_where_nothing_else_is_asked_for() -> None:
    rgb = smooth(3)[:112, :112]
    np.testing.assert_array_equal(middle(rgb, meta_of(112, 1.4).share_of(50), 112), rgb)


def test_training_and_the_cascade_that_comes_of_it(tmp_path: Path) -> None:
    write_crops(tmp_path / "crops", dict.fromkeys(SHAPES, (8, 4)), rule=RULE.to_json())
    crops = gather([tmp_path / "crops"], ["gun"])
    train_classifier(crops, replace(QUICK_TRAINING, padding=1.0), tmp_path / "fit")
    _, meta = load_fit(tmp_path / "fit")
    assert (meta.imgsz, meta.padding, meta.crop_rule) == (80, 1.0, RULE)
    assert (meta.crop_spec().imgsz, meta.crop_spec().padding) == (80, 1.0)
    check_fits(meta, crops)
    seen = np.concatenate(list(plain_batches(crops.val, meta, batch=8, workers=1)))
    whole = replace(meta, imgsz=112, padding=1.4)
    shown = np.concatenate(list(plain_batches(crops.val, whole, batch=8, workers=1)))
    for example, part, crop in zip(crops.val, seen, shown, strict=True):
        np.testing.assert_array_equal(part, middle(crop, meta.share_of(example.side_px), 80))


@pytest.mark.parametrize(("side_px", "share"), [(24, 1.0), (28, 24 / 28), (140, 1 / 1.4)])
def test_a_small_box_keeps_its_least_side(side_px: int, share: float) -> None:
    assert meta_of(80, 1.0).share_of(side_px) == pytest.approx(share)
