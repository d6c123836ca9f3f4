"""A study's numbers are those of `forensics evaluate` and `compare`, at any thresholds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import forensics
from forensics.cli.compare import compare_command
from forensics.cli.evaluate import evaluate_command
from forensics.errors import ForensicsError, RunLogError, TruthError
from forensics.evaluation.evaluate import evaluate
from forensics.evaluation.prepare import prepare
from forensics.evaluation.rules import run_rules
from forensics.evaluation.taxonomy import taxonomy
from forensics.study import Run, Study
from forensics.truth.base import Truth, combine
from forensics.types import OperatingPoint
from tests.evaluation.helpers import (
    NAN,
    Clip,
    boxes_truth,
    make_run,
    random_frames,
    spans_truth,
    strict_json,
)

FEW = 50  # bootstrap replicates: these tests are about equality, not about the intervals
THRESHOLDS = st.sampled_from([0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95])
SEEDS = st.integers(0, 10**6)


def study_of(run: Any, truth: Truth, **rules: Any) -> Study:
    """A study of tables in memory."""
    chosen = run_rules(run, replicates=FEW, **rules)
    return Study(Run(run), truth, prepare(run, truth, chosen))


def random_study(seed: int, n_frames: int = 14) -> Study:
    """Two cameras with boxes of every kind, and a third with spans only."""
    rng = np.random.default_rng(seed)
    clips, truths = [], []
    for path in ("a.mp4", "b.mp4"):
        detections, boxes, crowds = random_frames(rng, n_frames, missing=0.1)
        clips.append(Clip(path, n_frames, fps=1, detections=detections))
        truths.append(boxes_truth(path, boxes, crowd=crowds))
    found, _, _ = random_frames(rng, n_frames)
    clips.append(Clip("c.mp4", n_frames, fps=1, detections=found))
    truths.append(spans_truth(("c.mp4", 0, 5, "none"), ("c.mp4", 5, 8, "gun")))
    return study_of(make_run(*clips), combine(truths), gap_s=2.0, collar_s=1.0)


def leaves(level: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Every plain number of a level of the JSON, and the value of every interval."""
    for name, value in level.items():
        if name.endswith("_interval"):
            continue
        if not isinstance(value, Mapping):
            yield name, value
        elif "method" in value:
            yield name, value["value"]
        else:
            yield from ((f"{name} {part}", number) for part, number in value.items())


def same(value: float, expected: float | None) -> bool:
    return np.isnan(value) if expected is None else value == expected


@settings(max_examples=8)
@given(SEEDS, THRESHOLDS, THRESHOLDS)
def test_a_table_holds_every_figure_of_the_json(seed: int, at_d: float, at_c: float) -> None:
    study = random_study(seed)
    found = study.evaluate(detector=at_d, classifier=at_c)
    point = OperatingPoint(at_d, at_c)
    rules = study.prepared.rules
    assert found.to_json() == evaluate(
        study.run.tables, study.truth, operating_point=point, rules=rules
    ).to_json()
    table = found.to_frame()
    for arm in ("detector", "cascade"):
        for level in ("box", "frame", "event"):
            figures = found.to_json()["arms"][arm][level]
            for name, value in leaves(figures):
                assert same(table.loc[(level, name), (arm, "value")], value), (arm, level, name)
            for name in ("precision", "recall"):
                limits = figures[f"{name}_interval"] or {"low": None, "high": None}
                for side in ("low", "high"):
                    assert same(table.loc[(level, name), (arm, side)], limits[side])


@settings(max_examples=8)
@given(SEEDS, st.sampled_from(["box", "frame", "event"]), st.data())
def test_a_surface_counts_as_evaluate_does(seed: int, level: str, data: st.DataObject) -> None:
    study = random_study(seed)
    grid = [0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95]
    surface = study.surface(level, detector=grid, classifier=grid)
    at_d, at_c = data.draw(THRESHOLDS), data.draw(st.none() | THRESHOLDS)
    point = study.evaluate(at_d, 0.5 if at_c is None else at_c).to_json()
    arm = point["arms"]["detector" if at_c is None else "cascade"][level]
    names = ("detected", "false_alerts") if level == "event" else ("tp", "fp")
    row = surface.at(at_d, at_c)
    assert (row["hits"], row["false"]) == tuple(arm[name] for name in names)
    assert same(row["recall"], arm["recall"])
    rate = "false_alerts_per_camera_hour" if level == "event" else "false_alarms_per_million"
    assert row["false_rate"] == pytest.approx(arm[rate]["value"], rel=1e-9)
    table = surface.to_frame()
    assert len(table) == surface.hits.size == len(grid) * (len(grid) + 1)


@settings(max_examples=8)
@given(SEEDS, st.sampled_from(["box", "frame", "event"]))
def test_no_pair_beats_the_front(seed: int, level: str) -> None:
    surface = random_study(seed).surface(level)
    table, front = surface.to_frame(), surface.front()
    pairs = set(zip(table["hits"], table["false"], strict=True))
    best = {
        (hits, false)
        for hits, false in pairs
        if not any((h >= hits and f <= false and (h, f) != (hits, false)) for h, f in pairs)
    }
    assert set(zip(front["hits"], front["false"], strict=True)) == best
    assert front["false"].is_monotonic_increasing


@settings(max_examples=6)
@given(SEEDS, THRESHOLDS, THRESHOLDS)
def test_tables_add_up_to_the_figures(seed: int, at_d: float, at_c: float) -> None:
    study = random_study(seed)
    arms = study.evaluate(at_d, at_c).to_json()["arms"]
    kinds = taxonomy(study.prepared, OperatingPoint(at_d, at_c))
    decisions = study.decisions(at_d, at_c)
    for arm in ("detector", "cascade"):
        failures = study.failures(at_d, at_c, arm=arm)
        counts = failures.groupby(["mistake", "cause"]).size()
        for mistake in ("false", "missed"):
            expected = {cause: n for cause, n in kinds[arm][mistake].items() if n}
            found = counts[mistake].to_dict() if mistake in counts else {}
            assert found == expected
        box, event = arms[arm]["box"], arms[arm]["event"]
        assert (failures["mistake"] == "false").sum() == box["fp"]
        assert (failures["mistake"] == "missed").sum() == box["fn"]
        assert (decisions[f"outcome_{arm}"] == "tp").sum() == box["tp"]
        alerts = study.alerts(at_d, at_c, arm=arm)
        assert len(alerts) == event["alerts"]
        assert (alerts["outcome"] == "false").sum() == event["false_alerts"]
        assert (alerts["outcome"] == "repeat").sum() == event["repeat_alerts"]
        incidents = study.events(at_d, at_c, arm=arm)
        assert (len(incidents), incidents["found"].sum()) == (event["incidents"], event["detected"])
        assert incidents["latency_s"].isna().sum() == event["latency_s"]["missed"]
    differ = study.disagreements(at_d, at_c)
    fewer = arms["detector"]["frame"]["fp"] - arms["cascade"]["frame"]["fp"]
    assert (differ["outcome"] == "false alarm").sum() == fewer


@pytest.mark.parametrize("level", ["frame", "event"])
def test_a_comparison_holds_the_figures_of_both_sides(level: str) -> None:
    study = random_study(3, n_frames=40)
    compared = study.compare(level=level, detector=0.2, classifier=0.5)
    told, table = compared.to_json(), compared.to_frame()
    arms = told["evaluations"]["A"]["arms"]
    for side in ("detector", "cascade"):
        row = table.loc[side]
        assert row["false-alarm frames"] == arms[side]["frame"]["fp"]
        assert row["incidents found"] == arms[side]["event"]["detected"]
        assert row["frame recall"] == arms[side]["frame"]["recall"]
    matched = told["matched"]
    assert matched["level"] == {"frame": "frames", "event": "incidents"}[level]
    recall = {"frame": "frame recall", "event": "incident recall"}[level]
    at_recall, at_false = table.iloc[2], table.iloc[3]
    assert at_recall[recall] >= table.loc["cascade", recall]
    assert at_recall["detector threshold"] == matched["recall"]["detector_threshold"]
    assert at_false["false-alarm frames"] <= table.loc["cascade", "false-alarm frames"]
    differences = compared.differences()
    ratio = matched["recall"]["false_alarm_ratio"]
    row = differences.filter(like=f"equal {matched['level'][:-1]} recall", axis=0).iloc[0]
    assert all(same(row[name], ratio[name]) for name in ("value", "low", "high"))


def test_two_runs_are_compared_as_the_command_does() -> None:
    hit, weak = ((0, 0, 10, 10), 0.9, 0.9), ((0, 0, 10, 10), 0.7, 0.2)
    truth = spans_truth(("a.mp4", 0, 5, "none"), ("a.mp4", 5, 9, "gun"), ("b.mp4", 0, 9, "none"))
    runs = [
        make_run(Clip("a.mp4", detections={6: [first]}, fps=1), Clip("b.mp4", detections=second))
        for first, second in ((hit, {3: [hit]}), (weak, {}))
    ]
    compared = study_of(runs[0], truth).compare(Run(runs[1]))
    assert compared.found.comparison.names == ("A", "B")
    table, told = compared.to_frame(), compared.to_json()["evaluations"]
    for side, false in (("A", 1), ("B", 0)):
        frame = told[side]["arms"]["cascade"]["frame"]
        assert table.loc[side, "frame recall"] == frame["recall"]
        assert table.loc[side, "false-alarm frames"] == frame["fp"] == false
    assert table.loc["A", "frame recall"] > table.loc["B", "frame recall"] == 0
    assert list(compared.disagreements["alarmed_by"]) == ["A", "A"]
    strict_json(json.dumps(compared.to_json(), allow_nan=False))


def test_figures_are_those_of_the_command_line(
    reference_run: Path, archive: Path, tmp_path: Path
) -> None:
    """A real run folder and truth file, through both doors."""
    rows = ["gate/one.mp4,0,1,none", "gate/one.mp4,1,2,gun", "yard/three.ts,0,9,none"]
    spans = tmp_path / "spans.csv"
    spans.write_text("\n".join(["file,start_s,end_s,class", *rows]) + "\n")
    run = forensics.open_run(reference_run)
    study = run.against(spans, class_map={"gun": "gun"})
    for command, told in (
        (evaluate_command, study.evaluate(0.005, 0.3).to_json()),
        (compare_command, study.compare(detector=0.005, classifier=0.3).to_json()),
    ):
        asked = [str(reference_run), "--truth", str(spans), "--format", "json",
                 "--detector-threshold", "0.005", "--classifier-threshold", "0.3",
                 "--class-map", "gun=gun"]  # fmt: skip
        said = json.loads(CliRunner().invoke(command, asked).output)
        assert json.loads(json.dumps(told)) == said
    assert len(run.media) == run.tables.media.num_rows
    assert len(run.frames) == run.tables.frames.num_rows
    assert set(run.frames["path"]) < set(run.media["path"])  # the copy has frames once
    assert list(run.detections["detector_score"]) == run.tables.detections[
        "detector_score"
    ].to_pylist()
    decisions = run.decisions(0.005, 0.3)
    assert (decisions["detector_score"] >= np.float32(0.005)).all()
    assert not decisions.filter(like="outcome").columns.size
    assert decisions[["x_min", "x_max"]].notna().all(axis=None)


def test_undefined_is_never_zero() -> None:
    run = make_run(Clip("a.mp4", detections={2: [((0, 0, 9, 9), 0.9, NAN)]}))
    study = study_of(run, spans_truth(("a.mp4", 0, 9, "none")))
    table = study.evaluate().to_frame()
    assert np.isnan(table.loc[("frame", "recall"), ("cascade", "value")])
    assert np.isnan(table.loc[("box", "recall"), ("detector", "value")])
    assert np.isnan(study.surface().recall).all()
    assert len(study.surface().front()) == 1  # no hit to be had: the pairs without false alarms
    told = study.compare().to_frame()
    assert np.isnan(told.loc["cascade", "incident recall"])
    assert "n/a" in study.evaluate()._repr_html_()


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda study: study.surface("pixel"), "box, frame, event"),
        (lambda study: study.events(arm="both"), "detector, cascade"),
        (lambda study: study.strata("weather"), "camera, height, suspect"),
        (lambda study: study.compare(level="box"), "frame, event"),
        (lambda study: study.evaluate(detector=0.001), "logging floor"),
        (lambda study: study.evaluate(detector=3), "between 0 and 1"),
        (lambda study: study.surface().at(0.123456), "not on the grid"),
        (lambda study: study.compare(study.run, detector=0.4), "own thresholds"),
        (lambda study: study.run.against(), "no truth"),
        (lambda study: study.plot_recall_vs_false_alarms(level="pixel"), "frame, event, box"),
        (lambda study: study.plot_strata("height", false_alarms=True), "no object"),
    ],
)
def test_wrong_questions_say_what_to_ask(ask: Any, words: str) -> None:
    with pytest.raises(ForensicsError, match=words):
        ask(random_study(1))


def test_what_cannot_be_read_is_an_error(tmp_path: Path, reference_run: Path) -> None:
    with pytest.raises(RunLogError):
        forensics.open_run(tmp_path)
    with pytest.raises(TruthError):
        forensics.open_run(reference_run).against(tmp_path)


def test_incidents_of_listed_files_are_planted() -> None:
    truth = spans_truth(("a.mp4", 0, 5, "gun"), ("b.mp4", 0, 5, "gun"))
    run = make_run(Clip("a.mp4", fps=1), Clip("b.mp4", fps=1))
    plain = study_of(run, truth)
    assert not plain.events()["planted"].any()
    listed = study_of(run, replace(truth, planted=frozenset({"b.mp4"})))
    assert list(listed.events()["planted"]) == [False, True]
    assert "partly planted" in repr(listed) and "planted" not in repr(plain)


def test_strata_are_parts_of_the_whole() -> None:
    study = random_study(5)
    whole = study.strata(detector=0.2)
    for by in ("camera", "height", "suspect"):
        part = study.strata(by, detector=0.2)
        assert len(part) and set(part["stratum"]) <= set(whole["stratum"])
    cameras = study.strata("camera", detector=0.2)
    arms = study.evaluate(0.2).to_json()["arms"]
    for arm in ("detector", "cascade"):
        rows = cameras[(cameras["arm"] == arm) & (cameras["stratum"] == "camera")]
        assert rows["hits"].sum() == arms[arm]["frame"]["tp"]


def test_the_curve_passes_through_the_operating_point() -> None:
    study = random_study(6)
    curve = study.curve(0.5, detector=0.35)
    arms = study.evaluate(0.35, 0.5).to_json()["arms"]
    for arm in ("detector", "cascade"):
        at = curve[(curve["arm"] == arm) & (curve["threshold"] == np.float32(0.35))]
        row = at.iloc[0]
        assert (row["frame_tp"], row["frame_fp"]) == (
            arms[arm]["frame"]["tp"],
            arms[arm]["frame"]["fp"],
        )


def test_results_show_themselves() -> None:
    study = random_study(7)
    found = study.evaluate()
    html = found._repr_html_()
    assert html.count("<table") == 1 and "false alarms per million frames" in html
    assert "per million" in repr(found)
    assert study.compare()._repr_html_().count("<table") == 2
    assert "a.mp4" in study.run._repr_html_()
    assert "frames with a target" in repr(study) and "3 files" in repr(study)
    assert isinstance(found.cameras(), pd.DataFrame) and list(found.cameras().index)


def test_names_are_escaped() -> None:
    name = "<b>x.mp4"
    truth = spans_truth((name, 0, 9, "none"))
    study = study_of(make_run(Clip(name)), truth)
    assert "<b>" not in study.run._repr_html_()
    assert "<b>" not in study.evaluate()._repr_html_()


def test_importing_the_package_loads_no_library() -> None:
    code = """
import sys, forensics
assert 'open_run' in dir(forensics)
heavy = {'numpy', 'pandas', 'matplotlib', 'torch', 'cv2', 'pyarrow'} & set(sys.modules)
assert not heavy, heavy
from forensics import open_run
heavy = {'torch', 'openvino', 'onnxruntime', 'click', 'IPython'} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'close_run'"):
        forensics.close_run  # noqa: B018
