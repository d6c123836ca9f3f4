"""Why boxes are false or missed, and the same counts in parts of the footage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from forensics import boxes
from forensics.evaluation import evaluate, prepare
from forensics.evaluation.levels import CASCADE, count_arm
from forensics.evaluation.match import _overlaps
from forensics.evaluation.rules import Rules
from forensics.evaluation.strata import strata
from forensics.evaluation.taxonomy import taxonomy
from forensics.types import OperatingPoint

from .helpers import Clip, boxes_truth, make_run, random_frames

G = (0, 0, 10, 10)
POINT = OperatingPoint(0.5, 0.5)


def test_every_error_has_its_kind() -> None:
    found = {
        0: [(G, 0.9, 0.9), ((0, 0, 10, 9), 0.8, 0.9), ((0, 0, 10, 4), 0.7, 0.9)],
        1: [((200, 0, 9, 9), 0.9, 0.9), ((300, 0, 9, 9), 0.9, 0.9)],
        2: [(G, 0.9, 0.1)],
        3: [(G, 0.4, 0.9)],
        4: [],
        5: [((1, 0, 10, 10), 0.9, 0.9)],
    }
    gt = {0: [G], 2: [G], 3: [G], 4: [G], 5: [G, (3, 0, 10, 10)]}
    run = make_run(Clip("a.mp4", 6, detections=found))
    counted = taxonomy(prepare(run, boxes_truth("a.mp4", gt, decoys={1: [(200, 0, 9, 9)]})), POINT)
    assert counted["cascade"]["false"] == {
        "duplicate": 1, "localisation": 1, "decoy": 1, "background": 1
    }  # fmt: skip
    assert counted["cascade"]["missed"] == {
        "rejected": 1, "below_threshold": 1, "not_detected": 1, "taken": 1
    }  # fmt: skip
    assert counted["detector"]["missed"]["rejected"] == 0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_kinds_add_up_to_the_counts(seed: int) -> None:
    found, truth, crowds = random_frames(np.random.default_rng(seed), 20, missing=0.1)
    run = make_run(Clip("a.mp4", 20, detections=found))
    prepared = prepare(run, boxes_truth("a.mp4", truth, crowd=crowds))
    counted, arm = taxonomy(prepared, POINT)["cascade"], count_arm(prepared, POINT, CASCADE)
    assert sum(counted["false"].values()) == int(arm.box.fp.sum())
    assert sum(counted["missed"].values()) == int(arm.box.fn.sum())
    assert counted["false"]["duplicate"] == int(arm.box.duplicates.sum())
    table = strata(prepared, POINT)
    heights = table[(table["arm"] == CASCADE) & (table["stratum"] == "object height px")]
    assert heights["hits"].sum() == int(arm.box.tp.sum())
    assert heights["total"].sum() == int((arm.box.tp + arm.box.fn).sum())


def test_strata_mark_small_cells_and_leave_empty_ones_undefined() -> None:
    run = make_run(Clip("a.mp4", 4, detections={0: [(G, 0.9, 0.9)]}))
    table = strata(prepare(run, boxes_truth("a.mp4", {0: [G], 1: [(0, 0, 30, 30)], 2: []})), POINT)
    heights = table[(table["arm"] == "cascade") & (table["stratum"] == "object height px")]
    cell = heights.set_index("part")
    assert cell.loc["0-12", "value"] == 1.0 and cell.loc["24-48", "value"] == 0.0
    assert np.isnan(cell.loc[">= 48", "value"]) and cell["few"].all()
    assert set(table["stratum"]) >= {"camera", "false alarms by camera", "suspect frames"}


def test_strata_have_the_confidence_that_is_asked_for() -> None:
    run = make_run(Clip("a.mp4", 4, detections={0: [(G, 0.9, 0.9)]}))
    truth = boxes_truth("a.mp4", {0: [G], 1: [(0, 0, 30, 30)], 2: []})
    for confidence in (0.8, 0.99):
        rows = evaluate(run, truth, rules=Rules(confidence=confidence)).strata
        counted = [row for row in rows if row["total"]]
        assert len(counted) >= 8
        for row in counted:
            test = binomtest(row["hits"], row["total"]).proportion_ci(confidence, "wilson")
            assert (row["low"], row["high"]) == pytest.approx((test.low, test.high))
            assert row["method"].startswith(f"Wilson, {100 * confidence:g} %")


def test_paired_overlaps_equal_the_matrix_of_boxes() -> None:
    rng = np.random.default_rng(0)
    a = np.sort(rng.uniform(0, 90, (50, 2, 2)), axis=1).reshape(50, 4).astype(np.float32)
    b = np.sort(rng.uniform(0, 90, (50, 2, 2)), axis=1).reshape(50, 4)
    iou, inside = _overlaps(a, b)
    assert np.array_equal(iou, np.diag(boxes.iou_matrix(a, b)))
    assert np.array_equal(inside, np.diag(boxes.intersection_over_first(a, b)))
