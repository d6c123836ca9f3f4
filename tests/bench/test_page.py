"""The benchmark page says what the figures kept beside it say."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from forensics.bench.files import write_report
from forensics.bench.gun_free import gun_free_table
from forensics.bench.measure import Clock
from forensics.bench.modes import modes_table
from forensics.bench.page import page, table
from forensics.bench.run import ALONE, DECODE, FLOOR, GATED, INFERENCE, BenchOptions, derived
from forensics.errors import BenchError

REPORTS = Path(__file__).parents[2] / "reports"


ROUNDS = {
    DECODE: [100.0, 200.0, 200.0],
    INFERENCE: [25.0, 50.0, 50.0],
    ALONE: [19.0, 38.0, 38.0],
    GATED: [9.5, 19.0, 19.0],
    FLOOR: [1.9, 3.8, 3.8],
}


def speed_of(rounds: dict[str, list[float]]) -> dict[str, Any]:
    return {"rounds": rounds, **derived(rounds), "opening_s": {ALONE: 1.25}, "classifier_share": {}}


@pytest.fixture
def figures() -> dict[str, Any]:
    """Figures of every part, made up."""
    arm = {"alarm_frames": 8, "incidents": 2, "detected": 2, "false_alerts": 3}
    judged = {"refresh_s": 2.0, "frames": 80, "detector": arm, "cascade": arm}
    length = {"frames": 1500, "frames_per_s": 600.0, "peak_memory_mib": 240.0}
    return {
        "command": "forensics bench",
        "date": "2026-01-31",
        "machine": "some CPU, 2 cores",
        "backend": "an engine",
        "batch": 4,
        "clip": "a clip",
        "speed": speed_of(ROUNDS),
        "peak_memory_mib": 400.0,
        "length": [{"minutes": 1, "log_bytes_per_frame": 11.0, **length}],
        "boxes": [
            {"classified_per_frame": n, "frames_per_s": 9.0, "log_bytes_per_detection": b}
            for n, b in ((0.0, None), (2.0, 77.7))
        ],
        "skipping": [
            {"threshold": None, "skipped": 0, **judged, "refresh_s": None},
            {"threshold": 4.0, "skipped": 20, **judged},
        ],
        "gun_free": {
            "clips": 2,
            "frames": 80,
            "modes": {
                "detector only": {"frames_per_s": [10.0, 20.0], "classified_per_frame": 0.0},
                "gate at floor": {"frames_per_s": [8.0, 16.0], "classified_per_frame": 1.5},
            },
        },
        "modes": {"640": [10.0], "1280": [2.5]},
        "notes": ["something was not there"],
    }


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    """The figures under reports/."""
    found: dict[str, Any] = json.loads((REPORTS / "benchmarks.json").read_text())
    if "schema" not in found:
        pytest.skip("the benchmark kept is of an older form: run `forensics bench --out reports`")
    return found


def test_the_page_kept_is_made_from_the_figures_kept(kept: dict[str, Any]) -> None:
    assert (REPORTS / "benchmarks.md").read_text() == page(kept)
    speed = kept["speed"]
    assert {k: speed[k] for k in derived(speed["rounds"])} == derived(speed["rounds"])
    for name, values in speed["rounds"].items():
        assert speed["median_frames_per_s"][name] == median(values)
        assert len(values) >= 5, name
    for part in ("length", "boxes"):
        assert len(kept[part]) >= 3


def test_the_page_shows_every_part(figures: dict[str, Any]) -> None:
    text = page(figures)
    for name in ROUNDS:
        assert f"| {name} |" in text
    for said in (
        "some CPU, 2 cores", "2026-01-31", "| 1 | 1500 | 600 | 240 | 11.0 |", "400 MiB",
        "| 0.0 | 9.0 | — |", "| 2.0 | 9.0 | 77.7 |", "| no gate | — | 0 (0.0 %) | 8 / 8 |",
        "| 4 | 2.0 | 20 (25.0 %) |", "| 1280 | 2.50 | 4.00 |", "something was not there",
        f"| {ALONE} | 38.0 | 0.950 | 1.25 |", "+100.0 % time over detector only",
    ):  # fmt: skip
        assert said in text, said


def test_ratios_are_taken_within_the_rounds() -> None:
    """The machine is twice as fast in the second round and in the third; no ratio is moved."""
    found = derived(ROUNDS)
    assert found["bound_frames_per_s"][INFERENCE] == pytest.approx(40.0)
    assert found["of_bound"][ALONE] == pytest.approx(0.95)
    assert found["cascade_cost"] == {GATED: pytest.approx(1.0), FLOOR: pytest.approx(9.0)}
    assert found["median_frames_per_s"][ALONE] == 38.0


def test_what_was_not_measured_is_a_dash_and_not_a_nought() -> None:
    speed = speed_of({DECODE: [100.0], INFERENCE: [25.0], ALONE: [19.0]})
    text = table({"speed": speed, "notes": ["no labelled footage"]})
    assert f"| {DECODE} | 100.0 | — | — |" in text
    assert "no labelled footage" in text


def test_the_classifier_s_cost_on_gun_free_footage(figures: dict[str, Any]) -> None:
    text = gun_free_table(figures["gun_free"])
    assert "2 clips, 80 frames" in text
    assert "| gate at floor | 12.0 | 1.50 | +25.0 % |" in text
    assert "## Footage without guns" in table(figures)


def test_modes_are_compared_within_their_rounds() -> None:
    """The machine is twice as fast in the second round; the ratio is not moved by that."""
    text = modes_table({"640": [10.0, 20.0], "1280": [2.5, 5.0]})
    assert "| 640 | 15.00 | 1.00 |" in text
    assert "| 1280 | 3.75 | 4.00 |" in text


def test_the_steady_rate_leaves_both_ends_out() -> None:
    clock = Clock()
    clock.counts = [4] * 9 + [1]
    clock.times_s = [5.0, 6.0, 7.0, 7.1, 7.2, 7.3, 7.4, 7.5, 9.0, 12.0]
    assert clock.steady_rate() == pytest.approx(40.0)
    clock.counts = clock.counts[:6]
    with pytest.raises(BenchError, match="longer clip"):
        clock.steady_rate()


def test_the_report_is_three_files(figures: dict[str, Any], tmp_path: Path) -> None:
    write_report(figures, tmp_path / "reports")
    names = {path.name for path in (tmp_path / "reports").iterdir()}
    assert names == {"benchmarks.json", "benchmarks.md", "benchmarks.svg"}
    drawn = ElementTree.fromstring((tmp_path / "reports" / "benchmarks.svg").read_text())
    said = "".join(drawn.itertext())
    assert all(name in said for name in figures["speed"]["rounds"] if name != DECODE)
    assert "boxes classified a frame" in said
    with pytest.raises(BenchError, match="`speed`"):
        write_report({"notes": []}, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot write"):
        write_report(figures, tmp_path / "file" / "reports")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"parts": ("speed", "luck")}, "no part 'luck'"),
        ({"rounds": 0}, "at least 1"),
        ({"source": Path("/nowhere.mp4")}, "no footage"),
    ],
)
def test_options_that_make_no_sense(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BenchError, match=complaint):
        BenchOptions(**{"source": Path(__file__), **changes})
