"""Geometry: properties that hold for any box and picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forensics import boxes
from forensics.boxes import Letterbox

sides = st.integers(1, 5000)
coordinates = st.floats(0, 2000, allow_nan=False, width=32)


@st.composite
def box_arrays(draw: st.DrawFn, max_size: int = 12) -> np.ndarray[Any, Any]:
    n = draw(st.integers(0, max_size))
    low = draw(arrays(np.float32, (n, 2), elements=st.floats(0, 90, width=32)))
    size = draw(arrays(np.float32, (n, 2), elements=st.floats(0, 60, width=32)))
    return np.concatenate([low, low + size], axis=1)


@given(sides, sides, st.sampled_from([64, 320, 640, 1280]))
def test_letterbox_content_fits(width: int, height: int, imgsz: int) -> None:
    box = Letterbox(width, height, imgsz)
    (content_width, content_height), (left, top) = box.content, box.offset
    assert 1 <= content_width <= imgsz
    assert 1 <= content_height <= imgsz
    assert max(content_width, content_height) == imgsz
    assert 0 <= left <= imgsz - content_width
    assert 0 <= top <= imgsz - content_height


@given(sides, sides, box_arrays())
def test_letterbox_round_trip(width: int, height: int, xyxy: np.ndarray[Any, Any]) -> None:
    box = Letterbox(width, height, 640)
    inside = boxes.clip(xyxy, width, height)
    back = box.to_source(box.to_input(inside))
    # float32 holds 640-px coordinates to 6e-5 px; that is this much in source pixels.
    allowed = 1e-4 * max(1.0, width / box.content[0], height / box.content[1]) + 1e-3
    np.testing.assert_allclose(back, inside, atol=allowed)


@given(sides, sides, st.sampled_from([64, 320, 640, 1280]))
def test_band_holds_the_picture_in_whole_cells(width: int, height: int, imgsz: int) -> None:
    box = Letterbox(width, height, imgsz)
    left, top, right, bottom = box.band
    assert left <= box.offset[0] and box.offset[0] + box.content[0] <= right
    assert top <= box.offset[1] and box.offset[1] + box.content[1] <= bottom
    assert not any(side % boxes.STRIDE for side in box.band)
    assert (left, top) == (imgsz - right, imgsz - bottom)
    fifth, tenth = (imgsz // n // boxes.STRIDE * boxes.STRIDE for n in (5, 10))
    assert {left, top} <= {0, tenth, fifth} and 0 in (left, top)


def test_bands_of_common_shapes() -> None:
    """A wide picture spares the network two fifths of the input, one of 4:3 a fifth."""
    assert Letterbox(1920, 1080, 640).band == (0, 128, 640, 512)
    assert Letterbox(1080, 1920, 640).band == (128, 0, 512, 640)
    assert Letterbox(640, 480, 640).band == (0, 64, 640, 576)
    assert Letterbox(500, 500, 640).band == (0, 0, 640, 640)


def test_letterbox_of_1080p_is_centred() -> None:
    box = Letterbox(1920, 1080, 640)
    assert box.content == (640, 360)
    assert box.offset == (0, 140)
    np.testing.assert_allclose(
        box.to_source(np.array([[0, 140, 640, 500]])), [[0, 0, 1920, 1080]], atol=1e-3
    )


def test_letterbox_needs_a_picture() -> None:
    with pytest.raises(ValueError, match="no area"):
        Letterbox(0, 10, 640)


@given(box_arrays(), box_arrays())
def test_iou_is_symmetric_and_bounded(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> None:
    overlap = boxes.iou_matrix(a, b)
    assert overlap.shape == (len(a), len(b))
    assert ((overlap >= 0) & (overlap <= 1 + 1e-12)).all()
    np.testing.assert_array_equal(overlap, boxes.iou_matrix(b, a).T)
    assert (boxes.intersection_over_first(a, b) >= overlap - 1e-12).all()


@given(box_arrays())
def test_iou_with_itself_is_one(a: np.ndarray[Any, Any]) -> None:
    solid = boxes.area(a) > 0
    np.testing.assert_allclose(np.diag(boxes.iou_matrix(a, a))[solid], 1)
    np.testing.assert_array_equal(np.diag(boxes.iou_matrix(a, a))[~solid], 0)


def test_iou_by_hand() -> None:
    a = np.array([[0, 0, 10, 10]])
    assert boxes.iou_matrix(a, np.array([[0, 0, 10, 5]]))[0, 0] == 0.5
    assert boxes.iou_matrix(a, np.array([[5, 5, 15, 15]]))[0, 0] == 25 / 175
    assert boxes.intersection_over_first(a, np.array([[0, 0, 100, 100]]))[0, 0] == 1


def plain_nms(
    xyxy: np.ndarray[Any, Any], score: np.ndarray[Any, Any], kind: np.ndarray[Any, Any], iou: float
) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(score)), key=lambda k: (-score[k], k)):
        rivals = [j for j in kept if kind[j] == kind[i]]
        if all(boxes.iou_matrix(xyxy[[i]], xyxy[[j]])[0, 0] <= iou for j in rivals):
            kept.append(i)
    return kept


@given(box_arrays(20), st.data(), st.sampled_from([0.3, 0.5, 0.7]))
def test_nms_is_the_plain_rule(xyxy: np.ndarray[Any, Any], data: st.DataObject, iou: float) -> None:
    scores = st.sampled_from([0.1, 0.2, 0.5, 0.9])
    score = data.draw(arrays(np.float32, len(xyxy), elements=scores))
    kind = data.draw(arrays(np.int32, len(xyxy), elements=st.integers(0, 1)))
    expected = plain_nms(xyxy, score, kind, iou)
    assert boxes.nms(xyxy, score, kind, iou=iou, limit=1000).tolist() == expected
    assert boxes.nms(xyxy, score, kind, iou=iou, limit=3).tolist() == expected[:3]


@given(box_arrays(20), st.data(), st.floats(0, 1, width=32))
def test_nms_is_prefix_stable(
    xyxy: np.ndarray[Any, Any], data: st.DataObject, floor: float
) -> None:
    """Raising the floor afterwards equals having scanned with the higher floor."""
    score = data.draw(arrays(np.float32, len(xyxy), elements=st.floats(0, 1, width=32)))
    kind = np.zeros(len(xyxy), np.int32)
    kept = boxes.nms(xyxy, score, kind, iou=0.5, limit=5)
    above = np.flatnonzero(score >= floor)
    again = above[boxes.nms(xyxy[above], score[above], kind[above], iou=0.5, limit=5)]
    assert kept[score[kept] >= floor].tolist() == again.tolist()


@given(box_arrays(), st.floats(1, 3), st.integers(1, 64))
def test_square_crop_holds_the_box(
    xyxy: np.ndarray[Any, Any], padding: float, min_side: int
) -> None:
    squares = boxes.square_crop(xyxy, padding, min_side)
    sides_px = squares[:, 2:] - squares[:, :2]
    assert (sides_px[:, 0] == sides_px[:, 1]).all()
    assert (sides_px >= min_side).all()
    longer = (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1, initial=0) if len(xyxy) else np.zeros(0)
    assert (sides_px[:, 0] >= np.floor(longer)).all()
    centre = (squares[:, :2] + squares[:, 2:]) / 2
    np.testing.assert_allclose(centre, (xyxy[:, :2] + xyxy[:, 2:]) / 2, atol=0.76)
