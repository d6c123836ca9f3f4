"""Surfaces equal counting anew at every point, at all three levels, whole and by camera."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import ForensicsError
from forensics.evaluation import prepare
from forensics.evaluation.rules import Rules
from forensics.evaluation.surface import surfaces, surfaces_by_counting
from forensics.truth.base import combine

from .helpers import Clip, boxes_truth, make_run, random_frames, spans_truth

DETECTOR = np.round(np.arange(0.05, 1, 0.1), 2).tolist()
CLASSIFIER = np.round(np.arange(0.0, 1, 0.1), 2).tolist()
QUICK = settings(max_examples=6, deadline=None)


def world(seed: int, n_frames: int = 30):
    """Three clips of two cameras: boxes with crowds, spans with gaps, and an unlabelled one."""
    rng = np.random.default_rng(seed)
    clips, truths = [], []
    for number in range(3):
        found, truth, crowds = random_frames(rng, n_frames, missing=0.1)
        name = f"{number}.mp4"
        for index in range(0, n_frames, 3):
            found[index] = []  # quiet frames, so that there are gaps
        clips.append(Clip(name, n_frames, fps=2, camera=f"c{number // 2}", detections=found))
        if number == 0:
            truths.append(boxes_truth(name, truth, crowd=crowds))
        if number == 1:
            told = ((0, 3, "none"), (3, 4, "gun"), (6, 8, "ignore"), (9, 14, "none"))
            truths.append(spans_truth(*((name, *span) for span in told)))
    return make_run(*clips), combine(truths)


@QUICK
@given(
    seed=st.integers(0, 10**6),
    gap_s=st.sampled_from([0.5, 1.0, 3.0]),
    confirm=st.sampled_from([(1, 1), (2, 3), (3, 5)]),
)
def test_surfaces_equal_counting_at_every_point(seed: int, gap_s: float, confirm) -> None:
    run, truth = world(seed)
    rules = Rules(gap_s=gap_s, collar_s=0.4, confirm_hits=confirm[0], confirm_frames=confirm[1])
    prepared = prepare(run, truth, rules)
    fast = surfaces(prepared, DETECTOR, CLASSIFIER)
    slow = surfaces_by_counting(prepared, DETECTOR, CLASSIFIER)
    assert set(fast.counts) == set(slow.counts)
    for name, grid in slow.counts.items():
        assert np.array_equal(fast.counts[name], grid), name
    for name, values in slow.totals.items():
        assert np.array_equal(fast.totals[name], values), name


def test_cameras_add_up_to_the_whole() -> None:
    prepared = prepare(*world(4))
    whole = surfaces(prepared, DETECTOR, CLASSIFIER)
    parts = surfaces(prepared, DETECTOR, CLASSIFIER, by_camera=True)
    for name, grid in whole.counts.items():
        assert parts.counts[name].shape[0] == 2
        assert np.array_equal(parts.counts[name].sum(axis=0), grid[0]), name


def test_v13_the_grid_of_the_specification() -> None:
    g = (0, 0, 10, 10)
    found = [(g, 0.9, 0.2), ((50, 0, 10, 10), 0.6, 0.8), ((90, 0, 10, 10), 0.3, 0.5)]
    run = make_run(Clip("a.mp4", 1, detections={0: found}))
    grid = surfaces(prepare(run, boxes_truth("a.mp4", {0: []})), [0.3, 0.6, 0.9], [0, 0.5, 0.8])
    assert grid.counts["box_fp"][0, :, 1:].tolist() == [[3, 2, 1], [2, 1, 1], [1, 0, 0]]
    assert grid.counts["frame_fp"][0, :, 1:].tolist() == [[1, 1, 1], [1, 1, 1], [1, 0, 0]]
    assert grid.counts["box_fp"][0, :, 0].tolist() == [3, 2, 1]


def test_points_below_the_gate_are_not_valid_and_the_floor_is_kept() -> None:
    run, truth = world(1)
    run.manifest["thresholds"] |= {"floor": 0.05, "gate": 0.5}
    grid = surfaces(prepare(run, truth), DETECTOR, CLASSIFIER, events=False)
    assert grid.valid[:, 0].all() and not grid.valid[0, 1] and grid.valid[-1, 1]
    table = grid.table()
    assert table.loc[table["detector"] < 0.5, "classifier"].isna().all()
    with pytest.raises(ForensicsError, match="logging floor"):
        surfaces(prepare(run, truth), [0.01], CLASSIFIER)
    with pytest.raises(ForensicsError, match="thresholds between"):
        surfaces(prepare(run, truth), [], CLASSIFIER)


def test_compiled_loops_equal_the_same_loops_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    from forensics.evaluation import event_kernels, kernels

    prepared = prepare(*world(9, 12))
    compiled = surfaces(prepared, DETECTOR, CLASSIFIER)
    for module in (kernels, event_kernels):
        for name, kernel in vars(module).items():
            if hasattr(kernel, "py_func"):
                monkeypatch.setattr(module, name, kernel.py_func)
    plain = surfaces(prepared, DETECTOR, CLASSIFIER)
    for name, grid in compiled.counts.items():
        assert np.array_equal(plain.counts[name], grid), name
