"""Composed training pictures: boxes stay on their objects, decoys add none, seeds repeat."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forensics.training import compose
from forensics.training.compose import Labelled

GREEN = (20, 200, 40)


def marked(width: int, height: int, box: tuple[int, int, int, int]) -> Labelled:
    """A dark picture with one green rectangle, which is its box."""
    rgb = np.full((height, width, 3), 30, np.uint8)
    x0, y0, x1, y1 = box
    rgb[y0:y1, x0:x1] = GREEN
    return Labelled(rgb, np.array([box], np.float64), np.zeros(1, np.int64))


@st.composite
def marked_pictures(draw: st.DrawFn) -> Labelled:
    width, height = draw(st.integers(80, 300)), draw(st.integers(80, 300))
    x0, y0 = draw(st.integers(0, width - 60)), draw(st.integers(0, height - 60))
    box = (x0, y0, x0 + draw(st.integers(40, width - x0)), y0 + draw(st.integers(40, height - y0)))
    return marked(width, height, box)


def greenish(rgb: np.ndarray, box: np.ndarray) -> bool:
    x, y = ((box[:2] + box[2:]) / 2).astype(int)
    r, g, b = (int(v) for v in rgb[y, x])
    return g > r + 60 and g > b + 60


@given(st.lists(marked_pictures(), min_size=4, max_size=4), st.integers(0, 999))
def test_a_grid_keeps_each_box_on_its_object(pictures: list[Labelled], seed: int) -> None:
    whole = compose.grid(pictures, np.random.default_rng(seed))
    height, width = whole.rgb.shape[:2]
    assert max(height, width) == compose.SIDE
    assert len(whole.xyxy) == len(pictures)
    assert (whole.xyxy >= 0).all() and (whole.xyxy <= [width, height, width, height]).all()
    assert all(greenish(whole.rgb, box) for box in whole.xyxy)


@given(marked_pictures(), st.integers(0, 999))
def test_looks_change_boxes_with_their_picture(picture: Labelled, seed: int) -> None:
    varied = compose.vary_look(picture, np.random.default_rng(seed), stretched=True)
    assert varied.rgb.shape[0] == picture.rgb.shape[0]
    gain = varied.rgb.shape[1] / picture.rgb.shape[1]
    np.testing.assert_allclose(varied.xyxy[:, [0, 2]], picture.xyxy[:, [0, 2]] * gain)
    x, y = ((varied.xyxy[0, :2] + varied.xyxy[0, 2:]) / 2).astype(int)
    assert int(varied.rgb[y, x, 1]) > 100  # the object, green or grey, is still under its box


def test_half_of_the_pictures_turn_grey() -> None:
    picture = marked(100, 100, (20, 20, 80, 80))
    rng = np.random.default_rng(0)
    varied = [compose.vary_look(picture, rng, stretched=False).rgb for _ in range(400)]
    grey = sum(bool((rgb[..., 0] == rgb[..., 1]).all()) for rgb in varied)
    assert 160 <= grey <= 240


def test_specks_lose_their_box_and_nothing_else() -> None:
    boxes = np.array([[0, 0, 3, 3], [0, 0, 3, 30], [5, 5, 50, 50]], np.float64)
    kept = compose.drop_specks(
        Labelled(np.zeros((60, 60, 3), np.uint8), boxes, np.arange(3, dtype=np.int64))
    )
    assert kept.class_id.tolist() == [1, 2]


def scene() -> Labelled:
    noise = np.random.default_rng(1).integers(90, 160, (360, 640, 3), np.uint8)
    return Labelled(noise, np.array([[100.0, 100, 300, 300]]), np.zeros(1, np.int64))


def objects() -> list[compose.CutOut]:
    picture = marked(200, 120, (10, 10, 190, 110))
    cut = compose.cut_out(picture.rgb, picture.xyxy[0], 0)
    decoy = compose.cut_out(picture.rgb, picture.xyxy[0], -1)
    assert cut is not None and decoy is not None
    return [cut, decoy] * 3


@given(st.integers(0, 2000))
def test_pasted_targets_are_labelled_at_real_sizes_and_decoys_are_not(seed: int) -> None:
    whole = compose.paste(scene(), objects(), np.random.default_rng(seed))
    pasted = whole.xyxy[1:]
    assert len(pasted) <= 3  # three of the six are decoys
    assert (whole.class_id == 0).all()
    sides = pasted[:, 2:] - pasted[:, :2]
    assert (sides > 2).all() and (sides <= 2.6 * compose.PASTE_HEIGHT_PX[1]).all()
    assert (pasted >= 0).all() and (pasted <= [640, 360, 640, 360]).all()
    for number, one in enumerate(whole.xyxy):
        for other in whole.xyxy[:number]:
            apart = (one[:2] >= other[2:]) | (other[:2] >= one[2:])
            assert apart.any()


def test_a_paste_shows_where_its_box_says() -> None:
    before = scene()
    after = compose.paste(before, objects()[:1], np.random.default_rng(8))
    x0, y0, x1, y1 = after.xyxy[1].astype(int)
    change = np.abs(after.rgb.astype(int) - before.rgb).mean(axis=2)
    outside = change.copy()
    outside[y0 - 4 : y1 + 4, x0 - 4 : x1 + 4] = np.nan
    assert change[y0:y1, x0:x1].mean() > 1.5 * np.nanmean(outside)


def test_the_same_seed_gives_the_same_bytes() -> None:
    one, two = (compose.paste(scene(), objects(), np.random.default_rng(5)) for _ in range(2))
    assert (one.rgb == two.rgb).all() and (one.xyxy == two.xyxy).all()


def test_an_even_background_is_cut_away_and_a_busy_one_fades() -> None:
    rgb = np.full((100, 100, 3), 250, np.uint8)
    rgb[30:70, 20:80] = 20
    even = compose.cut_out(rgb, np.array([0.0, 0, 100, 100]), 0)
    assert even is not None and even.alpha[2, 2] < 0.1 < 0.9 < even.alpha[50, 50]
    busy = np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8)
    soft = compose.cut_out(busy, np.array([0.0, 0, 100, 100]), 0)
    assert soft is not None and soft.alpha[0, 0] < 0.1 and soft.alpha[50, 50] == 1.0
    assert compose.cut_out(rgb, np.array([0.0, 0, 5, 5]), 0) is None
