"""Wording, choice of pictures, figures: the small parts."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forensics.errors import TruthError
from forensics.report import wording
from forensics.report.choose import choose, rule
from forensics.report.figures import plots
from forensics.report.provenance import looked
from forensics.truth.planted import planted_files
from forensics.types import OperatingPoint

NBSP = "\u00a0"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "\u2013"),
        (float("nan"), "\u2013"),
        (0.0, f"0.0{NBSP}%"),
        (1.0, f"100.0{NBSP}%"),
        (0.1234, f"12.3{NBSP}%"),
        (0.99999, f"99.99{NBSP}%"),
        (0.00002, f"0.002{NBSP}%"),
    ],
)
def test_percent_never_rounds_to_none_or_all(share: float | None, text: str) -> None:
    assert wording.percent(share) == text


@pytest.mark.parametrize(
    ("time_s", "text"),
    [
        (0.0, "00:00:00.000"),
        (59.9996, "00:01:00.000"),
        (3723.0405, "01:02:03.040"),
        (360000.5, "100:00:00.500"),
        (-1.25, "-00:00:01.250"),
        (None, "\u2013"),
    ],
)
def test_time_code(time_s: float | None, text: str) -> None:
    assert wording.time_code(time_s) == text


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        ({"imgsz": None, "tiling": None}, ""),  # detections made elsewhere
        ({"imgsz": 640}, "the whole frame at 640 pixels"),  # a run from before there were tiles
        (
            {"imgsz": 1280, "tiling": {"columns": 1, "rows": 1, "overlap": 0.0}},
            "the whole frame at 1280 pixels",
        ),
        (
            {"imgsz": 640, "tiling": {"columns": 3, "rows": 2, "overlap": 0.25}},
            "the whole frame at 640 pixels, and 3 x 2 tiles of it that overlap by 25 %",
        ),
    ],
)
def test_what_the_detector_saw(manifest: dict[str, object], text: str) -> None:
    assert looked(manifest) == text


def test_numbers_for_people() -> None:
    assert wording.number(442401.3) == "442,401" and wording.number(0.0722) == "0.0722"
    assert wording.number(0) == "0" and wording.number(None) == "\u2013"
    assert wording.count(1234) == "1,234"
    assert wording.clean("a\u202eb\tc\u00a0d\u2028") == "a\\u202eb\\tc\u00a0d\\u2028"


def test_a_threshold_is_written_so_that_it_counts_the_same() -> None:
    score = np.float32(0.91237)
    assert wording.threshold(float(score)) == "0.91237"
    assert np.float32(wording.threshold(0.1234567)) == np.float32(0.1234567)
    assert wording.threshold(0.5) == "0.5" and wording.threshold(None) == "off"


def table(n: int) -> pd.DataFrame:
    path = np.where(np.arange(n) % 10 == 0, "rare", "common")
    return pd.DataFrame({"score": np.linspace(0.9, 0.1, n), "path": path})


def test_all_are_shown_when_few() -> None:
    assert choose(table(5), score="score", groups=("path",), limit=5, seed=1).equals(table(5))
    assert rule(5, 5, 1, score="s", groups="g") == "All are shown."


def test_the_rule_takes_groups_in_turn_then_draws_with_the_seed() -> None:
    whole = table(100)
    shown = choose(whole, score="score", groups=("path",), limit=10, seed=1)
    assert len(shown) == 10 and shown.index.is_unique and shown.index.is_monotonic_increasing
    best = {0, 10, 1, 2, 3}  # rare: rows 0 and 10; common: rows 1, 2, 3 (five places in turn)
    assert best - {3} <= set(shown.index)
    assert choose(whole, score="score", groups=("path",), limit=10, seed=1).equals(shown)
    assert not choose(whole, score="score", groups=("path",), limit=10, seed=2).equals(shown)
    assert "5 by highest" in rule(100, 10, 1, score="s", groups="g")
    assert "seed 1" in rule(100, 10, 1, score="s", groups="g")


def test_no_pictures_asked_none_shown() -> None:
    assert choose(table(9), score="score", groups=("path",), limit=0, seed=1).empty


def curve_table() -> pd.DataFrame:
    threshold = np.float32([0.1, 0.5, 0.9])
    parts = []
    for arm, factor in (("detector", 1.0), ("cascade", 0.5)):
        parts.append(
            pd.DataFrame(
                {
                    "arm": arm, "threshold": threshold,
                    "frame_false_per_million": np.array([90000.0, 1000.0, 0.0]) * factor,
                    "frame_recall": [1.0, 0.6, 0.2], "frame_precision": [0.1, 0.5, 1.0],
                    "box_recall": np.nan, "box_precision": np.nan,
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_plots_are_pictures_with_words_and_tables() -> None:
    made = {p.key: p for p in plots(curve_table(), OperatingPoint(0.5, 0.5), {}, 500.0)}
    alarms = made["false-alarms"]
    for uri in (alarms.light, alarms.dark):
        svg = base64.b64decode(uri.removeprefix("data:image/svg+xml;base64,")).decode()
        root = ET.fromstring(svg)
        texts = [e.text for e in root.iter() if e.tag.endswith("text")]
        assert "0" in texts and "10,000" in texts  # a log axis that reaches zero
        links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
        assert all(link.startswith("#") for link in links)
    assert alarms.light != alarms.dark
    assert "at the operating point 1,000" in alarms.alt and "Cascade: from 45,000" in alarms.alt
    assert ("Detector alone (operating point)", "0.5", "1,000") in alarms.rows
    assert ("Cascade", "0.9", "0") in alarms.rows


def test_plots_without_figures_say_so() -> None:
    made = {p.key: p for p in plots(curve_table(), OperatingPoint(0.5, 0.5), {}, 500.0)}
    assert made["boxes"].light == "" and "Not drawn" in made["boxes"].missing
    assert made["frames"].missing == ""


def test_sample_file_beside_the_truth_lists_what_is_planted(tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    truth.mkdir()
    assert planted_files([truth]) == frozenset()
    (tmp_path / "sample.toml").write_text('planted = ["a.mp4"]\n')
    (truth / "spans.csv").write_text("")
    assert planted_files([truth]) == planted_files([truth / "spans.csv"]) == {"a.mp4"}
    (tmp_path / "sample.toml").write_text("planted = [")
    with pytest.raises(TruthError, match="not readable as TOML"):
        planted_files([truth])
