"""Front and area of all pairs of thresholds, and strata by time of day."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.evaluation import prepare
from forensics.evaluation.envelope import area, envelope
from forensics.evaluation.evaluate import evaluate_prepared
from forensics.evaluation.levels import DETECTOR, count_arm
from forensics.evaluation.strata import strata
from forensics.evaluation.surface import surfaces
from forensics.types import OperatingPoint

from .helpers import Clip, make_run, spans_truth
from .test_rematch import POINT, world

G = (0, 0, 10, 10)


def test_area_is_the_mean_of_the_best_within_each_budget() -> None:
    false, recall = np.array([30.0, 10.0, 0.0, 50.0]), np.array([0.5, 0.4, 0.1, 0.9])
    budgets = np.linspace(0, 40, 40_001)[:-1]
    best = [recall[false <= budget].max() for budget in budgets]
    assert area(false, recall, 40) == pytest.approx(np.mean(best), abs=1e-4)
    assert area(np.array([50.0]), np.array([1.0]), 40) == 0


@pytest.mark.parametrize("seed", range(3))
def test_no_pair_beats_the_front(seed: int) -> None:
    prepared = world(seed)
    grid = np.round(np.arange(0.05, 1, 0.05), 2).tolist()
    counts = surfaces(prepared, grid, grid)
    found = envelope(prepared, POINT, counts)
    front = [(row["false_alarms_per_million"], row["recall"]) for row in found["front"]]
    assert front == sorted(front) and len(front) == len(set(front))
    table = counts.table()
    for false, recall in zip(
        table["frame_false_per_million"], table["incident_recall"], strict=True
    ):
        within = [r for f, r in front if f <= false]
        assert recall <= max(within, default=0.0)
    assert found["area"]["cascade"] >= found["area"]["detector"]
    assert found["label"].startswith("optimistic")


@pytest.mark.parametrize("seed", range(3))
def test_the_area_of_the_detector_does_not_depend_on_the_grid(seed: int) -> None:
    prepared = world(seed)
    found = envelope(prepared, POINT)
    tried = [OperatingPoint(score, None) for score in np.unique(prepared.log.score).tolist()]
    arms = [count_arm(prepared, point, DETECTOR) for point in tried]
    false = 1e6 * np.array([arm.frame.fp.sum() for arm in arms]) / prepared.ledger.negative.sum()
    recall = np.array([arm.event.detected.sum() for arm in arms]) / len(prepared.incidents)
    exact = area(false, recall, found["false_alarms_per_million_max"])
    assert found["area"]["detector"] == pytest.approx(exact, rel=1e-12)
    coarse = envelope(prepared, POINT, surfaces(prepared, [0.1, 0.6], [0.3]))
    assert coarse["area"]["detector"] == found["area"]["detector"]
    assert found["area"]["cascade"] >= coarse["area"]["cascade"] >= exact


def test_a_classifier_that_says_nothing_buys_nothing() -> None:
    """Scores between the steps of the grid: the gap between the areas is none of the grid's."""
    found = {f: [(G, 0.605 + f / 5000, 1.0)] for f in range(60)}
    run = make_run(*(Clip(f"{n}.mp4", 60, fps=1, detections=found) for n in range(3)))
    spans = [(f"{n}.mp4", a, b, label) for n in range(3)
             for a, b, label in ((0, 29, "none"), (29, 31, "gun"), (31, 60, "none"))]  # fmt: skip
    areas = envelope(prepare(run, spans_truth(*spans)), OperatingPoint(0.5, 0.5))["area"]
    assert 0 < areas["detector"] == areas["cascade"]


def test_what_truth_cannot_say_is_null() -> None:
    run = make_run(Clip("a.mp4", 5, detections={0: [(G, 0.9, 0.9)]}))
    for label, why in (("none", "no positives"), ("gun", "no negative")):
        prepared = prepare(run, spans_truth(("a.mp4", 0, 9, label)))
        found = evaluate_prepared(prepared, OperatingPoint(0.5, 0.5)).to_json()["envelope"]
        assert why in found["undefined"] and found["area"]["cascade"] is None
        assert found["front"] == []


def test_the_time_of_day_is_known_only_from_a_wall_clock() -> None:
    morning = 1_700_000_000 // 86_400 * 86_400 + 7 * 3600
    clips = [
        Clip("a.mp4", 40, fps=1, start_s=morning, detections={3: [(G, 0.9, 0.9)]}),
        Clip("b.mp4", 20, fps=1, detections={3: [(G, 0.9, 0.1)]}),
    ]
    told = spans_truth(
        ("a.mp4", morning, morning + 10, "gun"), ("a.mp4", morning + 10, morning + 40, "none"),
        ("b.mp4", 0, 20, "none"),
    )  # fmt: skip
    table = strata(prepare(make_run(*clips), told), OperatingPoint(0.5, 0.5))
    alone = table[table["arm"] == "detector"].set_index(["stratum", "part"])
    cells = {key: tuple(row) for key, row in alone[["hits", "total"]].iterrows()}
    assert cells["time of day", "06-12 h"] == (1, 10)
    assert cells["false alarms by time of day", "06-12 h"] == (0, 30)
    assert cells["false alarms by time of day", "unknown"] == (1, 20)
    assert ("time of day", "unknown") not in cells
