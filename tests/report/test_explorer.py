"""The operating-point explorer in a browser: the same figures as `evaluate`, or a reason."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from forensics.cli import evaluate as evaluate_module
from forensics.cli.evaluate import evaluate_command
from forensics.evaluation import evaluate, prepare
from forensics.evaluation.grid import typed_thresholds
from forensics.evaluation.rates import rate_interval, rate_limits
from forensics.evaluation.rules import Rules
from forensics.report import wording
from forensics.report.explorer import LINES, explore
from forensics.report.page import build_report, read_truth
from forensics.report.planted import Planted
from forensics.runlog.reader import RunTables
from forensics.truth.base import Truth
from forensics.types import OperatingPoint
from tests.evaluation.helpers import NAN, Clip, make_run, spans_truth
from tests.evaluation.test_surface import world as crowded_world
from tests.support.browser import Browser, fits
from tests.support.explorer import PRINT, assert_equal, equal_shown, figure, go, point_of, shown

from .helpers import HIT, SIZE, coverage_of, on_disk, page_of

NOTHING = Planted((0, 0), (0, 0), (0, 0))


def written(tmp_path: Path, run: RunTables, truth: Truth, **options: Any) -> Path:
    out = tmp_path / "report.html"
    out.write_text(page_of(run, truth, **options), encoding="utf-8")
    return out


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunTables, Truth, Path]:
    """Boxes with crowds, spans with gaps and an unlabelled clip, of two cameras."""
    folder = tmp_path_factory.mktemp("crowd")
    run, truth = crowded_world(7, n_frames=60)
    thresholds = run.manifest["thresholds"] | {"gate": 0.1}
    run = on_disk(run, folder, thresholds=thresholds)
    return run, truth, written(folder, run, truth)


def test_sliders_lead_to_the_figures_of_evaluate(
    crowd: tuple[RunTables, Truth, Path], browser: Browser
) -> None:
    run, truth, path = crowd
    with browser.open(path) as page:
        assert point_of(page) == OperatingPoint(0.5, 0.5)
        assert_equal(page, evaluate(run, truth).to_json())
        last_d, last_c = (int(page.get_attribute(f"#at-{name}", "max")) for name in NAMES)
        draw = random.Random(3)
        pairs = [(draw.randrange(6, last_d), draw.randrange(1, last_c)) for _ in range(6)]
        for places in [*pairs, (20, 0), (0, 0), (last_d, last_c), (last_d, 0)]:
            point = go(page, *places)
            assert_equal(page, evaluate(run, truth, operating_point=point).to_json())
            command = page.locator("#explorer-command").inner_text()
            assert f"--detector-threshold {point.detector:g}" in command
            assert ("--classifier-threshold off" in command) == (point.classifier is None)
        page.locator("#explorer-reset").click()
        assert point_of(page) == OperatingPoint(0.5, 0.5)


NAMES = ("detector", "classifier")
GIVEN = Rules(
    iou=0.3, gap_s=1.5, collar_s=0.1, confirm_hits=1, confirm_frames=2, unlabelled="negative",
    class_map={"big weapon": "gun", "bag": ""},
)  # fmt: skip


@pytest.mark.parametrize("rules", [GIVEN, None])
def test_the_command_that_is_shown_gives_the_figures_that_are_shown(
    rules: Rules | None, tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        2: [(HIT, 0.7, 0.9)], 4: [(HIT, 0.9, NAN)], 5: [(HIT, 0.6, 0.2)], 9: [(HIT, 0.8, 0.7)],
        15: [(HIT, 0.8, 0.4)], 17: [(HIT, 0.7, NAN)],
    }  # fmt: skip
    clips = [Clip(name, 20, detections=found, size=SIZE) for name in ("a.mp4", "b.mp4")]
    run = on_disk(make_run(*clips, coverage=coverage_of(clips)), tmp_path)
    weapon = "gun" if rules is None else "big weapon"
    rows = ("a.mp4,0.35,0.75,{}", "a.mp4,1,9,none", "b.mp4,0,0.5,{}", "b.mp4,0.5,1,none")
    more = () if rules is None else ("b.mp4,1.6,1.8,bag",)
    lines = ["file,start_s,end_s,class", *(row.format(weapon) for row in (*rows, *more))]
    (tmp_path / "spans.csv").write_text("\n".join(lines))
    truth = read_truth([tmp_path / "spans.csv"], None if rules is None else "spans")
    path = tmp_path / "report.html"
    path.write_text(build_report(run, truth, rules=rules), encoding="utf-8")
    monkeypatch.setattr(evaluate_module, "open_run", lambda folder: run)
    with browser.open(path) as page:
        for places in (None, (20, 12), (30, 0), (0, 0)):
            point = point_of(page) if places is None else go(page, *places)
            words = shlex.split(page.locator("#explorer-command").inner_text())
            assert words[:2] == ["forensics", "evaluate"]
            real = {"TRUTH": str(tmp_path / "spans.csv")}
            arguments = [real.get(word, word) for word in words[2:]]
            done = CliRunner().invoke(evaluate_command, [*arguments, "--format", "json"])
            assert done.exit_code == 0, done.output
            result = json.loads(done.output)
            assert result["operating_point"]["classifier"] == point.classifier
            assert_equal(page, result)
    assert len(words) == (9 if rules is None else 25)  # nothing is said that goes without saying


def test_below_the_gate_the_cascade_has_no_figure(
    crowd: tuple[RunTables, Truth, Path], browser: Browser
) -> None:
    run, truth, path = crowd
    with browser.open(path) as page:
        point = go(page, 0, 10)
        assert point.detector < 0.1 and point.classifier is not None
        assert "gate" in page.locator("#equal-text").inner_text()
        equal = equal_shown(page)
        assert all("gate" in why for arm, why in equal.values() if arm == wording.UNDEFINED)
        assert sum(text == wording.UNDEFINED for text, _ in equal.values()) == len(equal) - 1
        cells = shown(page)
        alone = OperatingPoint(point.detector, None)
        result = evaluate(run, truth, operating_point=alone).to_json()
        for line in LINES:
            assert cells["cascade", line.key][0] == wording.UNDEFINED
            assert "gate" in cells["cascade", line.key][1]
            value = figure(result, "detector", line.key)
            if value is not None:
                assert cells["detector", line.key][0] == PRINT[line.style](value)


def test_keyboard_alone_moves_the_thresholds(
    crowd: tuple[RunTables, Truth, Path], browser: Browser
) -> None:
    run, truth, path = crowd
    with browser.open(path) as page:
        page.locator("#at-detector").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "at-classifier"
        page.keyboard.press("PageUp")
        point = point_of(page)
        assert point.detector > 0.5 and point.classifier > 0.5
        assert_equal(page, evaluate(run, truth, operating_point=point).to_json())
        page.keyboard.press("Home")
        assert point_of(page).classifier is None
        assert page.get_attribute("#at-classifier", "aria-valuetext") == "off"


def test_a_click_on_the_map_moves_both(
    crowd: tuple[RunTables, Truth, Path], browser: Browser
) -> None:
    run, truth, path = crowd
    with browser.open(path) as page:
        for line in ("frame.recall", "box.precision"):
            page.locator("#map-figure").select_option(line)
            chart = page.locator("#map")
            size = chart.bounding_box()
            chart.click(position={"x": 0.6 * size["width"], "y": 0.25 * size["height"]})
            page.wait_for_function(
                "document.getElementById('detector-value').textContent !== '0.5'"
            )
            point = point_of(page)
            assert point.detector > 0.5 and point.classifier > 0.3
            assert_equal(page, evaluate(run, truth, operating_point=point).to_json())
            page.locator("#explorer-reset").click()


def test_a_phone_and_a_dark_page(crowd: tuple[RunTables, Truth, Path], browser: Browser) -> None:
    path = crowd[2]
    with browser.open(path, width=390, has_touch=True, color_scheme="dark") as page:
        for summary in page.locator("summary").all():
            summary.click()
        assert fits(page)
        go(page, 3, 3)
        page.emulate_media(color_scheme="light")
        assert fits(page)


def test_without_scripts_the_tables_remain(
    crowd: tuple[RunTables, Truth, Path], browser: Browser
) -> None:
    with browser.open(crowd[2], java_script_enabled=False) as page:
        assert page.locator("noscript").count() == 1
        text = page.locator("#explorer").inner_text()
        assert "need JavaScript" in text and "Back to" not in text
        assert page.locator("#comparison table").first.is_visible()
        summaries = page.locator("#explorer > details > summary")
        for place in range(summaries.count()):
            summaries.nth(place).click()
        tables = page.locator("#explorer table.grid")
        assert tables.count() == summaries.count() == 4
        assert all(table.is_visible() for table in tables.all())


def frames_with(found: Mapping[int, Any]) -> Mapping[int, Any]:
    return {3: [(HIT, 0.9, 0.9)], 5: [(HIT, 0.6, 0.2)], **found}


HARD_TRUTHS = {
    "only spans": (
        ("a.mp4", 0, 0.35, "none"),
        ("a.mp4", 0.45, 0.75, "gun"),
        ("a.mp4", 1, 9, "none"),
    ),
    "no positives": (("a.mp4", 0, 9, "none"),),
    "no negatives": (("a.mp4", 0, 9, "gun"),),
    "some frames": (("a.mp4", 0.3, 0.4, "gun"),),
    "all ignored": (("a.mp4", 0, 9, "ignore"),),
}


@pytest.mark.parametrize("which", HARD_TRUTHS)
def test_what_cannot_be_said_is_a_dash_with_a_reason(
    which: str, tmp_path: Path, browser: Browser
) -> None:
    """One camera, and truth that leaves figures undefined."""
    clips = [Clip("a.mp4", 20, detections=frames_with({}), size=SIZE)]
    run = on_disk(make_run(*clips, coverage=coverage_of(clips)), tmp_path)
    truth = spans_truth(*HARD_TRUTHS[which])
    with browser.open(written(tmp_path, run, truth)) as page:
        for places in ((30, 30), (30, 0), (0, 5)):
            point = go(page, *places)
            assert_equal(page, evaluate(run, truth, operating_point=point).to_json())


def test_a_run_without_classifier_has_one_slider(tmp_path: Path, browser: Browser) -> None:
    clips = [Clip("a.mp4", 20, detections={3: [(HIT, 0.9, NAN)]}, size=SIZE)]
    run = make_run(*clips, thresholds={"classifier": None}, classes=(), coverage=coverage_of(clips))
    run, truth = on_disk(run, tmp_path), spans_truth(("a.mp4", 0, 9, "none"))
    with browser.open(written(tmp_path, run, truth)) as page:
        assert page.locator("#at-classifier").count() == 0
        assert_equal(page, evaluate(run, truth, operating_point=go(page, 5)).to_json())


def test_the_script_words_numbers_as_python_does(browser: Browser, tmp_path: Path) -> None:
    block = files("forensics.report").joinpath("templates/wording.js").read_text()
    empty = tmp_path / "empty.html"
    empty.write_text("<!DOCTYPE html><title>none</title>")
    draw = np.random.default_rng(1)
    values = [0.0, 1.0, 0.3125, 0.00125, 0.0005, 0.99999, 0.9996, *draw.random(300)]
    values += [0.5, 2.5, 112.5, 113.5, 99.95, 99.96, 1e6, 1234567.5, 0.1225, 1.125, 1.375, 1e-5]
    values += [0.00012345, *(10 ** draw.uniform(-6, 7, 300)), *(draw.integers(1, 999, 300) / 64)]
    values = [float(value) for value in values]
    shares = [value for value in values if value <= 1]
    with browser.open(empty) as page:
        texts = page.evaluate(
            f"([values, shares]) => {{ {block} return [values.map(number), shares.map(percent),"
            " values.map((v) => print.count(v))]; }",
            [values, shares],
        )
    assert texts[0] == [wording.number(value) for value in values]
    assert texts[1] == [wording.percent(value) for value in shares]
    assert texts[2] == [wording.count(value) for value in values]


def test_the_grid_can_be_typed_and_holds_the_operating_point() -> None:
    scores = np.random.default_rng(0).beta(0.3, 0.3, 5000).astype(np.float32)
    odd = float(scores[17])
    grid = typed_thresholds(scores, 0.05, [odd, 0.1])
    values = np.array([float(text) for text in grid], np.float32)
    assert np.all(np.diff(values) > 0) and values[0] == np.float32(0.05) and len(grid) <= 62
    assert np.float32(odd) in values and np.float32(0.1) in values
    assert sum(len(text) > 5 for text in grid) <= 1  # only the odd one
    assert typed_thresholds(np.zeros(0, np.float32), 0.2) == typed_thresholds(
        np.float32([0.1]), 0.2
    )


@pytest.mark.parametrize("cameras", [1, 2, 9])
def test_limits_of_many_points_are_those_of_each(cameras: int) -> None:
    draw = np.random.default_rng(cameras)
    exposure = draw.integers(0, 500, cameras).astype(np.float64) + 1
    exposure[1:2] = 0
    events = np.minimum(draw.poisson(2.0, (cameras, 40)), exposure[:, None])
    events[:, ::5] = 0
    low, high = rate_limits(events.astype(np.float64), exposure)
    for point in range(events.shape[1]):
        one = rate_interval(events[:, point].astype(np.float64), exposure)
        assert [low[point], high[point]] == pytest.approx([one.low, one.high], rel=1e-12)
    assert np.isnan(rate_limits(events, np.zeros(cameras))).all()


def counts_of(data: Mapping[str, Any], name: str) -> Sequence[Sequence[int]]:
    shape = len(data["detector"]), len(data["classifier"])
    return np.cumsum(data["counts"][name]).reshape(shape).tolist()


def test_many_cameras_leave_the_intervals_out(monkeypatch: pytest.MonkeyPatch) -> None:
    run, truth = crowded_world(7)
    prepared, point = prepare(run, truth), OperatingPoint(0.5, 0.5)
    full = explore(prepared, point, NOTHING)
    monkeypatch.setattr("forensics.report.explorer.MOST_CELLS", 10)
    lean = explore(prepared, point, NOTHING)
    assert full.data["limits"] and lean.data["limits"] is None
    for name in full.data["counts"]:
        assert counts_of(full.data, name) == counts_of(lean.data, name)
