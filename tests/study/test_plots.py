"""Plots and galleries say what they show, on the axes that they were given."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from forensics.evaluation.prepare import prepare
from forensics.evaluation.rules import run_rules
from forensics.study import Run, Study
from forensics.study.heat import MOST_CONTOURS, contour_levels
from tests.evaluation.helpers import Clip, make_run, spans_truth
from tests.report.helpers import truth_of, world
from tests.study.test_study import random_study, study_of

mpl.use("Agg")


def axes():
    return Figure().add_subplot()


def drawn(ax) -> str:
    """All the words on an axes."""
    ax.figure.canvas.draw()
    legend = ax.get_legend()
    words = [text.get_text() for text in ax.texts]
    words += [text.get_text() for text in legend.get_texts()] if legend else []
    return " | ".join([ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), *words])


@pytest.mark.parametrize("level", ["box", "frame", "event"])
def test_a_heat_map_counts_the_pair_in_use(level: str) -> None:
    study, ax = random_study(11), axes()
    surface = study.surface(level)
    assert surface.plot(ax) is ax
    row = surface.at(0.5, 0.5)
    said = drawn(ax)
    assert f"in use: {row['hits']:.0f} found, {row['false']:.0f} false" in said
    assert "detector threshold" in said and "classifier threshold" in said
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels[0] == "off"
    bar = ax.figure.axes[1].get_ylabel()
    assert f"of {surface.total:,}" in bar


def test_the_cloud_of_pairs_names_front_and_detector() -> None:
    surface, ax = random_study(12).surface(), axes()
    assert surface.plot_front(ax) is ax
    said = drawn(ax)
    assert "Detector alone" in said and "optimistic" in said
    front = surface.front()
    line = next(line for line in ax.lines if "front" in line.get_label())
    assert list(line.get_xdata()) == list(front["false"])


@pytest.mark.parametrize("level", ["box", "frame", "event"])
def test_a_trade_off_has_both_arms_and_their_counts(level: str) -> None:
    study, ax = random_study(13), axes()
    assert study.plot_recall_vs_false_alarms(ax, level=level, detector=0.35) is ax
    arms = study.evaluate(0.35).to_json()["arms"]
    said = drawn(ax)
    for arm in arms.values():
        hits = arm["event"]["detected"] if level == "event" else arm[level]["tp"]
        false = arm["box" if level == "box" else "frame"]["fp"]
        assert f"{hits} found, {false} false" in said
    assert "Cascade (classifier ≥ 0.5)" in said


@pytest.mark.parametrize(
    ("by", "false_alarms"), [("camera", False), ("camera", True), ("height", False)]
)
def test_a_forest_plot_has_the_counts_of_every_part(by: str, false_alarms: bool) -> None:
    study, ax = random_study(14), axes()
    assert study.plot_strata(by, ax, false_alarms=false_alarms, detector=0.2) is ax
    table = study.strata(by, detector=0.2)
    table = table[table["stratum"].str.startswith("false") == false_alarms]
    shown = table[table["total"] > 0]
    assert len(shown)
    said = drawn(ax)
    for hits, total in zip(shown["hits"], shown["total"], strict=True):
        assert f"{hits}/{total}" in said


def test_what_is_not_defined_is_not_drawn() -> None:
    run = make_run(Clip("a.mp4"))
    nothing = study_of(run, spans_truth(("a.mp4", 0, 9, "none")))
    for ax in (nothing.surface().plot(axes()), nothing.plot_recall_vs_false_alarms(axes()),
               nothing.plot_strata("height", axes())):  # fmt: skip
        assert "Not drawn" in drawn(ax) and not ax.lines and not ax.collections


def test_without_axes_a_new_figure_is_made() -> None:
    ax = random_study(15).surface().plot()
    assert ax.figure.get_axes()[0] is ax
    mpl.pyplot.close(ax.figure)


@given(st.integers(0, 10**7))
def test_lines_of_equal_false_alarms_stay_few_and_round(most: int) -> None:
    levels = contour_levels(most)
    assert len(levels) <= MOST_CONTOURS and levels == sorted(set(levels))
    assert all(0 < level < most and str(level).strip("0") in {"1", "2", "5"} for level in levels)
    assert (most > 1) == bool(levels)


@pytest.fixture
def footage_study(tmp_path: Path) -> Study:
    """Two clips on disk with hits and false alarms, and the study of their run."""
    run, truth = world(tmp_path, "one.mp4", "two.mp4"), truth_of("one.mp4", "two.mp4", planted=True)
    return Study(Run(run), truth, prepare(run, truth, run_rules(run)))


def test_a_gallery_is_one_jpeg_of_the_chosen_boxes(footage_study: Study) -> None:
    failures = footage_study.failures()
    assert set(failures["cause"]) == {"background", "rejected"}
    gallery = footage_study.gallery(failures, limit=3, columns=2, title="What went wrong")
    assert len(gallery.shots) == len(gallery.rows) == 3
    assert all(shot.crop is not None for shot in gallery.shots)
    assert "3 of 4 are shown" in gallery.rule and "seed" in gallery.rule
    assert any("rejected (planted)" in caption for caption in gallery.captions)
    assert all(("one" in c or "two" in c) and " s\n" in c for c in gallery.captions)
    data = gallery._repr_jpeg_()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert data[:2] == b"\xff\xd8" and picture.shape[0] > 200
    assert gallery._repr_jpeg_() == data
    ax = axes()
    assert gallery.plot(ax) is ax and len(ax.images) == 3 and len(ax.patches) == 3
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    assert "What went wrong" in ax.get_title(loc="left")


def test_a_gallery_of_all_needs_no_rule(footage_study: Study) -> None:
    hits = footage_study.decisions().query("outcome_cascade == 'tp'")
    gallery = footage_study.gallery(hits)
    assert gallery.rule == "All are shown." and len(gallery.shots) == len(hits) == 2
    assert "tp (planted)" in gallery.captions[0]


def test_pictures_that_are_gone_say_so(footage_study: Study, tmp_path: Path) -> None:
    (tmp_path / "footage" / "one.mp4").unlink()
    gallery = footage_study.gallery(footage_study.failures())
    problems = [shot.problem for shot in gallery.shots]
    assert sum("no longer" in problem for problem in problems) == 2
    ax = gallery.plot(axes())
    assert "no longer" in drawn(ax)


def test_an_empty_gallery_is_no_error(footage_study: Study) -> None:
    gallery = footage_study.gallery(footage_study.failures().iloc[:0], title="Nothing")
    assert gallery.captions == () and gallery._repr_jpeg_()[:2] == b"\xff\xd8"
