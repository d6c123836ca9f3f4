"""Tiles: geometry, and the merging of what several views saw against a plain reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from forensics.boxes import Letterbox
from forensics.tiling import CONTAINED, CUT_PX, WHOLE, Tiling, View, merge, spans

SIDES = st.integers(1, 4000)
TILINGS = st.builds(Tiling, st.integers(1, 5), st.integers(1, 5), st.floats(0, 0.5))
IMGSZ = 640
Box = tuple[float, float, float, float]


@given(SIDES, SIDES)
def test_without_tiles_there_is_the_whole_frame_alone(width: int, height: int) -> None:
    (whole,) = WHOLE.views(width, height, IMGSZ)
    assert whole == View(0, 0, Letterbox(width, height, IMGSZ), width, height)
    corners = np.array([[0, 0, width, height], [0, 0, 1, 1], [-5, -5, width + 9, height + 9]])
    assert not whole.cuts(corners).any()
    inputs = np.random.default_rng(0).uniform(-10, 650, (50, 4)).astype(np.float32)
    assert whole.to_source(inputs).tobytes() == whole.letterbox.to_source(inputs).tobytes()


@given(st.integers(1, 10_000), st.integers(1, 16), st.floats(0, 0.5))
def test_spans_cover_every_pixel_and_share_what_they_should(
    length: int, n: int, overlap: float
) -> None:
    found = spans(length, n, overlap)
    assert len(found) == n
    side = length / (n - (n - 1) * overlap)
    assert (found[0][0], found[-1][1]) == (0, length)
    for low, high in found:
        assert 0 <= low < high <= length
        assert low % 2 == 0
        assert high % 2 == 0 or high == length
        assert side - 1e-6 <= high - low or high == length
        assert high - low <= side + 4
    for (low, high), (next_low, next_high) in zip(found, found[1:], strict=False):
        assert low <= next_low
        assert high <= next_high
        assert high - next_low >= min(overlap * side, length) - 1e-6


@given(TILINGS, SIDES, SIDES)
def test_tiles_lie_in_the_frame_and_cover_it(tiling: Tiling, width: int, height: int) -> None:
    whole, *tiles = tiling.views(width, height, IMGSZ)
    assert 1 + len(tiles) == tiling.n_views
    assert (whole.left, whole.top, whole.right, whole.bottom) == (0, 0, width, height)
    if not tiles:
        return
    seen = np.zeros((height, width), bool)
    for tile in tiles:
        assert 0 <= tile.left < tile.right <= width
        assert 0 <= tile.top < tile.bottom <= height
        seen[tile.top : tile.bottom, tile.left : tile.right] = True
    assert seen.all()


@given(
    st.builds(Tiling, st.integers(1, 4), st.integers(1, 4), st.floats(0.05, 0.5)),
    st.integers(200, 4000),
    st.integers(200, 4000),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_a_box_smaller_than_the_overlap_is_seen_whole_by_a_tile(
    tiling: Tiling, width: int, height: int, shares: Box
) -> None:
    assume(tiling.n_views > 1)
    tiles = tiling.views(width, height, IMGSZ)[1:]
    margin = 2 * CUT_PX / min(tile.letterbox.gain for tile in tiles)
    sides = [
        length if n == 1 else tiling.overlap * length / (n - (n - 1) * tiling.overlap)
        for length, n in ((width, tiling.columns), (height, tiling.rows))
    ]
    box_width, box_height = shares[0] * sides[0], shares[1] * sides[1]
    left, top = shares[2] * (width - box_width), shares[3] * (height - box_height)
    box = np.array([[left, top, left + box_width, top + box_height]])
    assert any(tile.holds(box)[0] for tile in tiles)
    smaller = (tiling.columns == 1 or box_width < sides[0] - margin - 0.1) and (
        tiling.rows == 1 or box_height < sides[1] - margin - 0.1
    )
    if smaller:
        assert any(tile.holds(box)[0] and not tile.cuts(box)[0] for tile in tiles)


@given(TILINGS, st.integers(50, 4000), st.integers(50, 4000), st.tuples(*[st.floats(0, 1)] * 4))
def test_boxes_come_back_from_every_view(
    tiling: Tiling, width: int, height: int, shares: Box
) -> None:
    for view in tiling.views(width, height, IMGSZ):
        x = np.sort([shares[0], shares[2]]) * view.letterbox.width
        y = np.sort([shares[1], shares[3]]) * view.letterbox.height
        inside = np.array([[x[0], y[0], x[1], y[1]]])
        found = view.to_source(view.letterbox.to_input(inside))
        np.testing.assert_allclose(found, inside + [view.left, view.top] * 2, atol=0.02)
        assert view.holds(found).all()


@pytest.mark.parametrize(
    ("columns", "rows", "overlap"),
    [(0, 1, 0.2), (2, -1, 0.2), (2, 2, -0.1), (2, 2, 0.6), (2, 2, float("nan"))],
)
def test_tilings_that_make_no_sense(columns: int, rows: int, overlap: float) -> None:
    with pytest.raises(ValueError, match="tile"):
        Tiling(columns, rows, overlap)


def test_two_by_two_of_1080p() -> None:
    views = Tiling(2, 2, 0.2).views(1920, 1080, 640)
    found = [(v.left, v.top, v.right, v.bottom) for v in views]
    assert found == [
        (0, 0, 1920, 1080),
        (0, 0, 1068, 600),
        (852, 0, 1920, 600),
        (0, 480, 1068, 1080),
        (852, 480, 1920, 1080),
    ]


# Merging, on a frame of 1000 x 500 cut into two tiles: [0, 556) and [444, 1000).
TWO = Tiling(2, 1, 0.2).views(1000, 500, IMGSZ)
Seen = tuple[Box, float, int, int]  # box, score, class, view


def merged(*seen: Seen, limit: int = 100) -> list[int]:
    boxes = np.array([s[0] for s in seen], np.float32).reshape(-1, 4)
    score = np.array([s[1] for s in seen], np.float32)
    classes = np.array([s[2] for s in seen], np.int32)
    view = np.array([s[3] for s in seen], np.intp)
    return merge(boxes, score, classes, view, TWO, iou=0.5, limit=limit).tolist()


def plain(seen: list[Seen], limit: int) -> list[int]:
    """The rules, one box at a time."""
    kept: list[int] = []
    for i in sorted(range(len(seen)), key=lambda i: (-np.float32(seen[i][1]), i)):
        box, _, kind, number = seen[i]
        view, x = TWO[number], [np.float32(v) for v in box]
        margin = CUT_PX / view.letterbox.gain
        cut = (view.left > 0 and x[0] <= view.left + margin) or (
            view.right < 1000 and x[2] >= view.right - margin
        )
        gone = cut
        for k in kept:
            other = [np.float32(v) for v in seen[k][0]]
            if seen[k][3] == number or seen[k][2] != kind:
                continue
            wide = max(0.0, float(min(x[2], other[2])) - float(max(x[0], other[0])))
            high = max(0.0, float(min(x[3], other[3])) - float(max(x[1], other[1])))
            mine, its = (float(b[2] - b[0]) * float(b[3] - b[1]) for b in (x, other))
            hidden = (view.left > 0 and other[0] < view.left) or (
                view.right < 1000 and other[2] > view.right
            )
            gone |= wide * high > 0.5 * (mine + its - wide * high)
            gone |= hidden and wide * high >= CONTAINED * mine
        if not gone and len(kept) < limit:
            kept.append(i)
    return kept


def seen_boxes() -> st.SearchStrategy[Seen]:
    def build(view: int, kind: int, level: int, x: int, y: int, w: int, h: int) -> Seen:
        one = TWO[view]
        left = one.left + 4 * (x % (one.letterbox.width // 4))
        box = (left, 4 * y, min(one.right, left + 4 * w), min(500, 4 * (y + h)))
        return box, level / 8, kind, view

    numbers = [st.integers(0, n) for n in (2, 1, 8, 249, 100)]
    return st.builds(build, *numbers, st.integers(1, 60), st.integers(1, 60))


@given(st.lists(seen_boxes(), max_size=25), st.integers(1, 30))
def test_merging_equals_the_plain_reference(seen: list[Seen], limit: int) -> None:
    assert merged(*seen, limit=limit) == plain(seen, limit)


@given(st.lists(seen_boxes(), max_size=25), st.integers(0, 9), st.integers(1, 30))
def test_low_scores_never_change_higher_ones(seen: list[Seen], level: int, limit: int) -> None:
    high = [i for i, one in enumerate(seen) if one[1] >= level / 8]
    everything = [i for i in merged(*seen, limit=limit) if i in high]
    assert everything == [high[k] for k in merged(*[seen[i] for i in high], limit=limit)]


@given(st.lists(seen_boxes(), max_size=25))
def test_what_the_whole_frame_shows_gives_way_only_to_something_better_there(
    seen: list[Seen],
) -> None:
    kept = merged(*seen)
    for i, (box, score, kind, view) in enumerate(seen):
        if view == 0 and i not in kept:
            assert any(
                seen[k][1] >= score
                and seen[k][2] == kind
                and min(box[2], seen[k][0][2]) > max(box[0], seen[k][0][0])
                for k in kept
            )


WHOLE_GUN: Box = (500, 100, 600, 160)
CUT_GUN: Box = (500, 100, 556, 160)  # the same, as far as the left tile sees it


@pytest.mark.parametrize("score", [0.1, 0.9])
def test_a_gun_on_a_border_is_one_gun(score: float) -> None:
    """Even where the piece scores better than the whole: then it would be a false duplicate."""
    assert merged((CUT_GUN, score, 0, 1), (WHOLE_GUN, 0.5, 0, 2)) == [1]
    assert merged((CUT_GUN, score, 0, 1), (WHOLE_GUN, 0.5, 0, 0)) == [1]
    assert merged((CUT_GUN, score, 0, 1)) == []


def test_a_piece_that_ends_before_the_border_is_no_second_gun() -> None:
    piece: Box = (500, 100, 545, 130)
    assert merged((piece, 0.4, 0, 1), (WHOLE_GUN, 0.5, 0, 2)) == [1]
    assert merged((piece, 0.4, 1, 1), (WHOLE_GUN, 0.5, 0, 2)) == [1, 0]  # of another class
    assert merged((piece, 0.4, 0, 0), (WHOLE_GUN, 0.5, 0, 2)) == [1, 0]  # its view saw both


def test_a_border_of_the_frame_cuts_nothing() -> None:
    assert merged(((0, 100, 40, 130), 0.4, 0, 1), ((960, 0, 1000, 40), 0.4, 0, 2)) == [0, 1]


def test_the_same_gun_in_three_views_is_the_best_of_them() -> None:
    seen = [((500, 100, 530 + n, 120), 0.3 + 0.1 * n, 0, n) for n in range(3)]
    assert merged(*seen) == [2]


def test_boxes_of_one_view_are_not_judged_again() -> None:
    same: Box = (10, 10, 50, 50)
    assert merged((same, 0.4, 0, 0), (same, 0.4, 0, 0)) == [0, 1]
