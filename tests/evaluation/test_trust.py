"""Calibration and the other views, in the JSON and the text of an evaluation."""

from __future__ import annotations

import json

import numpy as np
import pytest

from forensics.evaluation import calibration as of_scores
from forensics.evaluation import evaluate, prepare
from forensics.evaluation.calibration import judged_detections
from forensics.evaluation.text import render
from forensics.evaluation.trust import trust
from forensics.truth.base import combine
from forensics.types import OperatingPoint

from .helpers import Clip, boxes_truth, make_run, spans_truth

G, FAR = (0, 0, 10, 10), (200, 0, 10, 10)
POINT = OperatingPoint(0.5, 0.5)


def world(cameras: int = 6, frames: int = 40):
    """Each camera: a gun on every other frame; the classifier knows it, the detector hardly."""
    rng = np.random.default_rng(4)
    clips, told = [], []
    for number in range(cameras):
        found, boxes = {}, {}
        for frame in range(frames):
            gun = frame % 2 == 0
            target = rng.beta(5, 2) if gun else rng.beta(2, 5)
            score = 0.3 + 0.6 * rng.random()
            found[frame] = [(G if gun else FAR, float(score), float(target))]
            boxes[frame] = [G] if gun else []
        name = f"{number}.mp4"
        clips.append(Clip(name, frames, fps=1, camera=f"c{number}", detections=found))
        told.append(boxes_truth(name, boxes))
    return make_run(*clips), combine(told)


def test_scores_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="the extra `train` is not installed")
    prepared = prepare(*world())
    found, sample = trust(prepared), judged_detections(prepared)
    assert (found["detections"], found["hits"], found["cameras"]) == (240, 120, 6)
    hit = sample.hit
    for name, score in (("detector", sample.score), ("classifier", sample.target)):
        figures = found[name]
        assert figures["brier"]["value"] == pytest.approx(metrics.brier_score_loss(hit, score))
        assert figures["log_loss"]["value"] == pytest.approx(metrics.log_loss(hit, score))
        for part in ("brier", "log_loss"):
            assert figures[part]["low"] < figures[part]["value"] < figures[part]["high"]
        assert sum(row["count"] for row in figures["bins"]) == 240
        for row in figures["bins"]:
            limits = row["share_interval"]
            assert limits["value"] == pytest.approx(row["share"])
            assert limits["low"] <= row["share"] <= limits["high"]
    assert found["both"]["brier"]["value"] < found["classifier"]["brier"]["value"] + 0.02
    assert found["both"]["brier"]["high"] < found["detector"]["brier"]["low"]


def test_no_camera_is_judged_by_a_model_fitted_on_it() -> None:
    """Where one half of the cameras lies, the other half is judged by the lie, and told so."""
    run, truth = world(2, 60)
    honest = trust(prepare(run, truth))["both"]["log_loss"]["value"]
    turned = make_run(
        Clip("0.mp4", 60, fps=1, camera="c0", detections={
            f: [(G if f % 2 == 0 else FAR, 0.5, 0.1 if f % 2 == 0 else 0.9)] for f in range(60)
        }),
        Clip("1.mp4", 60, fps=1, camera="c1", detections={
            f: [(G if f % 2 == 0 else FAR, 0.5, 0.9 if f % 2 == 0 else 0.1)] for f in range(60)
        }),
    )  # fmt: skip
    lied = trust(prepare(turned, truth))["both"]["log_loss"]["value"]
    assert honest < np.log(2) < lied  # no knowledge at all has log 2


def test_what_cannot_be_fitted_or_judged_says_why() -> None:
    alone = trust(prepare(*world(1)))
    assert alone["both"] is None and "two cameras" in alone["both_undefined"]
    assert alone["classifier"]["brier"]["low"] is None
    run = make_run(Clip("a.mp4", 10, detections={0: [(G, 0.9, 0.9)]}))
    result = evaluate(run, spans_truth(("a.mp4", 0, 9, "gun"))).to_json()
    json.dumps(result, allow_nan=False)
    spans = result["calibration"]
    assert spans["undefined"] and spans["classifier"] is None and spans["detections"] == 0
    assert "n/a: no classified detection" in render(result)


def test_a_long_log_is_thinned_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    run, truth = world()
    monkeypatch.setattr(of_scores, "MOST_DETECTIONS", 100)
    found = evaluate(run, truth, operating_point=POINT).to_json()
    assert (found["calibration"]["detections"], found["calibration"]["every"]) == (80, 3)
    assert "80 detections, 1 in 3 of the log's, " in render(found)


def test_the_text_has_both_views_and_a_brief_one_neither() -> None:
    run, truth = world()
    result = evaluate(run, truth, operating_point=POINT).to_json()
    text, brief = render(result), render(result, brief=True)
    for words in ("strict ActEV: matched / missed / false", "Brier score", "classifier score"):
        assert words in text and words not in brief
    for arm in ("detector", "cascade"):
        rows = result["other_views"][arm]["frame_precision_at_prevalence"]
        assert [row["prevalence"] for row in rows] == [1e-2, 1e-4, 1e-6]
        frame = result["arms"][arm]["frame"]
        hit, false = frame["tp"] / 120, frame["fp"] / 120
        for row in rows:
            p = row["prevalence"]  # Bayes, from recall and the share of false alarm frames
            assert row["precision"] == pytest.approx(hit * p / (hit * p + false * (1 - p)))


def test_stills_have_no_strict_view() -> None:
    run = make_run(Clip("a.jpg", 1, kind="still", detections={0: [(G, 0.9, 0.9)]}))
    result = evaluate(run, boxes_truth("a.jpg", {0: [G]})).to_json()
    assert result["other_views"]["cascade"]["strict_actev"] is None
    assert "n/a / n/a / n/a" in render(result)
