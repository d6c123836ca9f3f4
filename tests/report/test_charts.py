"""The charts of the explorer: lines on the map, the best pairs, and what is printed."""

from __future__ import annotations

import math
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from forensics.evaluation import prepare
from forensics.evaluation.compare import Side
from forensics.evaluation.envelope import envelope
from forensics.evaluation.evaluate import evaluate_prepared
from forensics.evaluation.levels import DETECTOR
from forensics.evaluation.matched import matched
from forensics.evaluation.prepare import Prepared
from forensics.evaluation.surface import Surfaces, surfaces
from forensics.report import wording
from forensics.report.contours import FALSE, NEVER, RECALL, contours
from forensics.report.equal import recalled
from forensics.report.explorer import explore
from forensics.report.planted import Planted
from forensics.types import OperatingPoint
from tests.evaluation.test_rematch import world as moving_world
from tests.evaluation.test_surface import world as crowded_world
from tests.support.browser import Browser, fits
from tests.support.explorer import assert_matched, go

from .helpers import on_disk, page_of

NOTHING = Planted((0, 0), (0, 0), (0, 0))
POINT = OperatingPoint(0.5, 0.5)
LIGHT = {"--soft": "#59636d", "--detector": "#0072b2", "--cascade": "#c4500c", "--ink": "#1b2127"}
DARK = {"--soft": "#9fa9b2", "--detector": "#56b4e9", "--cascade": "#f0914a", "--ink": "#e4e8eb"}
CHARTS = ("map", "trade", "front")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Path]:
    """Boxes with crowds, spans with gaps and an unlabelled clip, of two cameras."""
    folder = tmp_path_factory.mktemp("charts")
    run, truth = crowded_world(7, n_frames=60)
    run = on_disk(run, folder, thresholds=run.manifest["thresholds"] | {"gate": 0.1})
    out = folder / "report.html"
    out.write_text(page_of(run, truth), encoding="utf-8")
    return prepare(run, truth), out


def counted(prepared: Prepared) -> tuple[Surfaces, tuple[tuple[str, ...], tuple[str, ...]]]:
    steps = np.round(np.arange(0.05, 1, 0.05), 2).tolist()
    names = tuple(map(str, steps))
    return surfaces(prepared, steps, steps), (names, ("off", *names))


def test_lines_part_the_pairs_that_keep_their_promise(crowd: tuple[Prepared, Path]) -> None:
    whole, (rows, columns) = counted(crowd[0])
    found = contours(whole, rows, columns[1:], range(len(rows)))
    assert found.has(RECALL) and found.has(FALSE)
    counts = {RECALL: whole.counts["frame_tp"][0], FALSE: whole.counts["frame_fp"][0]}
    for line in found.lines:
        keeps = counts[line.kind] >= line.count
        if line.kind == FALSE:
            keeps = counts[line.kind] <= line.count
        assert line.paths
        for x, y in np.concatenate(line.paths).round(9).tolist():
            assert (x == int(x)) != (y == int(y))  # between two neighbours, on neither
            near = {(math.floor(y), math.floor(x)), (math.ceil(y), math.ceil(x))}
            assert {bool(keeps[pair]) for pair in near} == {True, False}
            assert all(whole.valid[pair] and pair[1] > 0 for pair in near)


def test_the_table_of_the_lines_says_where_promises_end(crowd: tuple[Prepared, Path]) -> None:
    whole, (rows, columns) = counted(crowd[0])
    found = contours(whole, rows, columns[1:], range(len(rows)))
    tp, fp = whole.counts["frame_tp"][0], whole.counts["frame_fp"][0]
    recall = tp / whole.totals["n_positive"][0]
    rate = 1e6 * fp / whole.totals["n_negative"][0]
    assert len(found.rows) == len(rows) and found.columns[0] == "detector"
    said = set()
    for i, (name, *cells) in enumerate(found.rows):
        assert name == rows[i]
        for line, cell in zip(found.lines, cells, strict=True):
            said.add(cell)
            if not whole.valid[i, 1]:
                assert cell == "\u2013"
                continue
            if line.kind == RECALL:
                share = float(line.label.split("\u00a0")[0]) / 100
                kept = [c for j, c in enumerate(columns) if j and recall[i, j] >= share]
                assert cell == (kept[-1] if kept else NEVER)
            else:
                most = float(line.label.replace(",", ""))
                kept = [c for j, c in enumerate(columns) if j and rate[i, j] <= most]
                assert cell == (kept[0] if kept else NEVER)
    assert {NEVER, "\u2013"} < said


def test_what_no_pair_divides_has_no_line() -> None:
    run, truth = crowded_world(7)
    whole, (rows, columns) = counted(prepare(run, truth))
    one = Surfaces(
        whole.detector[:1], whole.classifier,
        {name: grid[:, :1] for name, grid in whole.counts.items()}, whole.totals, whole.valid[:1],
    )  # fmt: skip
    assert contours(one, rows[:1], columns[1:], [0]).lines == ()
    flat = {name: np.full_like(grid, 3) for name, grid in whole.counts.items()}
    same = Surfaces(whole.detector, whole.classifier, flat, whole.totals, whole.valid)
    assert contours(same, rows, columns[1:], [0]).lines == ()


@pytest.mark.parametrize("seed", range(3))
def test_the_best_pairs_are_those_of_the_library(seed: int) -> None:
    prepared = moving_world(seed)
    whole, names = counted(prepared)
    (events, *_) = recalled(prepared, whole, names, NOTHING)
    front = envelope(prepared, POINT, whole)["front"]
    assert events.key == "event" and len(front) == len(events.data["front"]) > 2
    for row, (i, j) in zip(front, events.data["front"], strict=True):
        assert row["detector"] == whole.detector[i]
        assert row["classifier"] == (whole.classifier[j - 1] if j else None)


@pytest.mark.parametrize("seed", range(2))
def test_equal_recall_is_that_of_evaluate_at_every_pair(seed: int) -> None:
    prepared = moving_world(seed)
    data = explore(prepared, POINT, NOTHING).data
    shape = len(data["detector"]), len(data["classifier"])
    level = data["equal"]["event"]
    hits = np.cumsum(data["counts"]["detected"]).reshape(shape)
    for i, j in ((3, 4), (9, 2), (14, 20), (25, 9), (30, 30)):
        point = OperatingPoint(float(data["detector"][i]), float(data["classifier"][j]))
        found = evaluate_prepared(prepared, point).matched_recall
        assert found is not None
        if found["undefined"]:
            assert hits[i, j] == 0
            continue
        place = level["hits"].index(hits[i, j])
        assert np.float32(level["thresholds"][place]) == np.float32(found["detector_threshold"])
        assert level["false"][place] == found["detector"]["false_alarm_frames"]


def test_recall_of_frames_can_be_chosen(crowd: tuple[Prepared, Path], browser: Browser) -> None:
    prepared, path = crowd
    with browser.open(path) as page:
        for places in ((20, 12), (30, 30), (40, 1)):
            point = go(page, *places)
            alone = Side("detector", prepared, point, DETECTOR)
            found = matched(alone, Side("cascade", prepared, point), "frames")["recall"]
            figures = found["figures"] or {"detector": None, "cascade": None}
            told = None if found["undefined"] else figures["cascade"]["frame_recall"]
            ratio = found["false_alarm_ratio"]["value"]
            said = {"level": "frame", "recall": told, "false_alarm_ratio": ratio}
            assert_matched(page, found | figures | said, "frame")


DRAWN = """(place) => {
  const view = Bokeh.index.roots.find(
    ({ el, model }) => model.type === "Figure" && el.closest(`#${place}`));
  return view.model.renderers.map(({ glyph, data_source, visible }) => ({
    type: glyph.type, visible, data: Object.fromEntries(
      Object.entries(data_source.data).map(([key, found]) => [key, [...found]])) }));
}"""
READY = """() => Bokeh.index.roots.filter(({ el, model }) =>
  model.type === "Figure" && el.isConnected && el.closest(".chart")).length === 3"""


def ready(page: Any) -> None:
    """Wait until all charts are there: the library draws when it finds time."""
    page.wait_for_function(READY)
    page.wait_for_timeout(300)


def drawn(page: Any, place: str, kind: str) -> list[dict[str, Any]]:
    """Glyphs of a kind in a chart, as they are held by the library."""
    return [found for found in page.evaluate(DRAWN, place) if found["type"] == kind]


def test_every_line_is_labelled_and_can_be_switched_off_by_key(
    crowd: tuple[Prepared, Path], browser: Browser
) -> None:
    prepared, path = crowd
    lines = explore(prepared, POINT, NOTHING).contours.lines
    with browser.open(path) as page:
        ready(page)
        texts = [text for found in drawn(page, "map", "Text") for text in found["data"]["text"]]
        assert sorted(texts) == sorted(line.label for line in lines)
        assert all(label in page.get_attribute("#map", "aria-label") for label in texts)
        assert [found["visible"] for found in drawn(page, "map", "MultiLine")] == [True] * 4
        page.locator("#lines-recall").focus()
        page.keyboard.press("Space")
        seen = [found["visible"] for found in drawn(page, "map", "MultiLine")]
        assert seen == [False, False, True, True]
        left = [text for found in drawn(page, "map", "Text") for text in found["data"]["text"]]
        assert sorted(left) == sorted(line.label for line in lines if line.kind == FALSE)


def test_the_chosen_pair_and_its_equal_follow_the_sliders(
    crowd: tuple[Prepared, Path], browser: Browser
) -> None:
    prepared, path = crowd
    with browser.open(path) as page:
        ready(page)
        page.locator("#front-level").select_option("frame")
        ready(page)
        before = drawn(page, "front", "Scatter")
        page.locator("#at-classifier").focus()
        for _ in range(6):
            page.keyboard.press("ArrowLeft")
        alone, own = drawn(page, "front", "Scatter")
        assert [alone, own] != before
        (link,) = drawn(page, "front", "Line")
        assert link["data"]["x"] == own["data"]["x"] + alone["data"]["x"]
        recall = page.locator("[data-equal=recall][data-arm=cascade]").inner_text()
        (label,) = drawn(page, "front", "Text")
        told = page.locator("[data-equal=factor][data-arm=detector]").inner_text()
        assert label["data"]["text"] == [f"\u00d7 {told}"]
        for y in link["data"]["y"]:
            assert recall == wording.percent(y)
        page.locator("#at-classifier").fill("0")
        assert drawn(page, "front", "Line")[0]["data"]["x"] == []
        assert "switched off" in page.get_attribute("#front", "aria-label")


def test_themes_are_those_of_the_style() -> None:
    style = files("forensics.report").joinpath("templates/report.css").read_text()
    for name in LIGHT:
        assert f"{name}: {LIGHT[name]};" in style and f"{name}: {DARK[name]};" in style


def printed(page: Any, count: int) -> None:
    """Wait until so many pictures stand for charts."""
    page.wait_for_function(
        "(count) => document.querySelectorAll('img.onpaper').length === count", arg=count
    )


def pictures(page: Any) -> list[str]:
    """What is printed instead of each chart: SVG text."""
    sources = page.evaluate(
        "(names) => names.map((n) => document.querySelector(`#${n} + img.onpaper`)?.src ?? '')",
        CHARTS,
    )
    return [unquote(source.partition(",")[2]) for source in sources]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_dark_page_prints_light(
    width: int, crowd: tuple[Prepared, Path], browser: Browser
) -> None:
    with browser.open(crowd[1], width=width, color_scheme="dark") as page:
        ready(page)
        assert pictures(page) == [""] * 3
        page.set_viewport_size({"width": 690, "height": 900})  # the text width of A4
        page.emulate_media(media="print")
        printed(page, 3)
        for drawing in pictures(page):
            assert LIGHT["--soft"] in drawing and DARK["--soft"] not in drawing
        for drawing in pictures(page)[1:]:
            assert LIGHT["--cascade"] in drawing and LIGHT["--detector"] in drawing
            assert not any(DARK[name] in drawing for name in DARK)
        for name in CHARTS:
            image = page.locator(f"#{name} + img.onpaper")
            assert image.is_visible() and image.get_attribute("alt")
            shot = cv2.imdecode(np.frombuffer(image.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
            corner = shot[-12:, :12]
            assert corner.min() > 245 and shot.min() < 140  # white, and dark enough to read
        assert fits(page)
        page.emulate_media(media="screen")
        printed(page, 0)
        assert pictures(page) == [""] * 3
        colours = page.evaluate(
            "Bokeh.index.roots.filter(({ model }) => model.type === 'Figure')"
            ".map(({ model }) => model.below[0].axis_label_text_color)"
        )
        assert colours == [DARK["--soft"]] * 3


def test_the_browser_prints_pictures(crowd: tuple[Prepared, Path], browser: Browser) -> None:
    with browser.open(crowd[1], color_scheme="dark") as page:
        ready(page)
        page.evaluate(
            "addEventListener('beforeprint', () => {"
            " window.seen = document.querySelectorAll('img.onpaper').length; })"
        )
        assert page.pdf(format="A4").startswith(b"%PDF")
        assert page.evaluate("window.seen") == 3
        assert pictures(page) == [""] * 3
