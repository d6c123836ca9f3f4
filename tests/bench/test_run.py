"""Every measurement runs and means what it says; how fast this machine is, is not tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.bench.clips import make_clip, pictures
from forensics.bench.growth import by_boxes
from forensics.bench.gun_free import measure_gun_free
from forensics.bench.page import page
from forensics.bench.processes import Peer, watched_scan
from forensics.bench.run import ALONE, DECODE, FLOOR, GATED, ONE, BenchOptions, run_bench
from forensics.bench.skipping import alarm_frames, measure_skipping, static_frames, without
from forensics.footage.protocol import Sampling, StaticRule
from forensics.runlog.reader import looked_at, open_run
from forensics.scan.settings import default_settings
from forensics.truth.load import load_truth
from tests.evaluation.helpers import Clip, make_run
from tests.support.clips import write_clip
from tests.support.scans import ROOT, SEGMENT_S, run_command, run_small_scan, small_settings
from tests.support.still_life import SAMPLE, halting_clip

SMALL = (320, 240)
HIT = (10.0, 10.0, 20.0, 20.0)


def test_a_tiny_benchmark_from_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(default_settings(), imgsz=96)
    monkeypatch.setattr("forensics.bench.run.default_settings", lambda backend: small)
    said: list[str] = []
    options = BenchOptions(
        source=SAMPLE, rounds=2, seconds=1, peers=(), size=SMALL, parts=("speed", "skipping")
    )
    figures = run_bench(options, said.append)
    rounds = figures["speed"]["rounds"]
    assert {DECODE, ALONE, GATED, FLOOR, ONE} <= set(rounds)
    assert all(len(values) == 2 and min(values) > 0 for values in rounds.values())
    order = [line.partition(": ")[2].rpartition(": ")[0] for line in said]
    assert order == 2 * list(rounds), "the lines of a round follow each other"
    assert figures["notes"] == [
        "static-scene gate: not measured: no labelled footage (set FORENSICS_DATA)"
    ]
    assert "set FORENSICS_DATA" in page({**figures, "command": "test"})


def test_what_the_classifier_is_shown_is_counted() -> None:
    small = replace(default_settings(), imgsz=96, floor=1e-6, gate=1e-6, max_detections=2)
    found = measure_gun_free([SAMPLE], small, 1, lambda line: None)
    assert found["clips"] == 1 and found["frames"] > 30
    shown = {name: mode["classified_per_frame"] for name, mode in found["modes"].items()}
    assert shown.pop("gate at floor") == 2
    assert shown.pop("detector only") == 0
    assert 0 <= shown.pop("gate at operating point") < 2 and not shown


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--part", "luck"], "is not one of"),
        (["--part", "length", "--out", "x"], "needs --part speed"),
        (["--minutes", "0"], "is not in the range"),
        (["--rounds", "0"], "is not in the range"),
    ],
)
def test_options_of_the_command_that_make_no_sense(options: list[str], complaint: str) -> None:
    code, _, errors = run_command(["bench", *options])
    assert code == 2
    assert complaint in errors


def test_what_cannot_be_measured_is_one_line(tmp_path: Path) -> None:
    code, _, errors = run_command(["bench", "--source", str(tmp_path / "no.mp4")])
    assert (code, errors.count("\n")) == (1, 1), errors
    assert "no footage at" in errors


def test_clips_are_what_was_asked_for(tmp_path: Path) -> None:
    clip = make_clip(SAMPLE, tmp_path / "c.mp4", 230, (160, 120))  # more than the source has
    frames = list(pictures(clip))
    assert len(frames) == 230
    assert {(frame.width, frame.height) for frame in frames} == {(160, 120)}


def test_a_peer_that_is_missing_is_a_reason_and_no_figure(tmp_path: Path) -> None:
    with Peer(tmp_path / "no.mp4", "no such engine") as peer:
        assert peer.why
        assert peer.rate(5) is None


def test_memory_is_that_of_scan_and_decoder(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", frames=60)
    seen = watched_scan(clip, ["--imgsz", "64"])
    assert seen.frames == 60
    assert 50 < seen.peak_mib < 1000
    assert seen.frame_log_bytes > 0


def test_boxes_a_frame_are_those_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forensics.bench.growth.BOXES", (1, 3))
    clip = write_clip(tmp_path / "c.mp4", frames=40)
    rows = by_boxes(clip, small_settings(), lambda _: None)
    assert [row["classified_per_frame"] for row in rows] == [0, 1, 3]
    assert rows[0]["log_bytes_per_detection"] is None


def test_the_log_is_small(tmp_path: Path) -> None:
    """Under 40 bytes an empty frame and 120 a detection, all columns and all files of the log."""
    clip = write_clip(tmp_path / "c.mp4", frames=500, size=(64, 48), gop=50)

    def log_bytes(run: Path) -> tuple[int, int]:
        tables = ("frames", "detections")
        a, b = (sum(p.stat().st_size for p in run.glob(f"{name}/*")) for name in tables)
        return a, b

    empty, full = tmp_path / "empty", tmp_path / "full"
    run_small_scan(clip, empty, segment_s=60.0, floor=0.19, gate=0.19)
    assert open_run(empty).detections.num_rows == 0
    assert sum(log_bytes(empty)) / 500 < 40
    run_small_scan(clip, full, segment_s=60.0, floor=1e-6, gate=1e-6, max_detections=2)
    detections = open_run(full).detections
    assert detections.num_rows == 1000
    assert detections["probabilities"].null_count == 0
    assert log_bytes(full)[1] / 1000 < 120


@pytest.fixture(scope="module")
def halting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return halting_clip(tmp_path_factory.mktemp("halting") / "cup.mp4", pictures=12)


def test_what_the_gate_would_do_is_what_it_does(halting: Path, tmp_path: Path) -> None:
    rule = StaticRule()
    run_small_scan(halting, tmp_path / "all")
    run_small_scan(halting, tmp_path / "gated", sampling=Sampling(static=rule))
    whole, gated = open_run(tmp_path / "all"), open_run(tmp_path / "gated")
    (media_id,) = set(whole.media["media_id"].to_pylist())
    passed = {(media_id, number) for number in static_frames(halting, rule, SEGMENT_S)}
    derived = without(whole, passed)
    assert len(passed) > 20
    assert derived.frames.to_pylist() == looked_at(gated.frames).to_pylist()
    assert derived.detections.to_pylist() == gated.detections.to_pylist()


def test_the_gate_is_judged_against_the_whole_scan(halting: Path, tmp_path: Path) -> None:
    truth = tmp_path / "spans.csv"
    truth.write_text("file,start_s,end_s,class\ncup.mp4,0,2.4,none\n")
    settings = replace(small_settings(), floor=0.001, gate=0.001)
    rows = measure_skipping(
        [halting], load_truth([truth]), settings, lambda _: None, rules=(StaticRule(),)
    )
    assert [row["threshold"] for row in rows] == [None, 4.0]
    assert [row["frames"] for row in rows] == [60, 60]
    assert rows[0]["skipped"] == 0 < rows[1]["skipped"] < 60
    for arm in ("detector", "cascade"):
        assert rows[1][arm]["alarm_frames"] <= rows[0][arm]["alarm_frames"]
        assert rows[0][arm]["incidents"] == 0


def test_alarm_frames_are_those_of_the_operating_point() -> None:
    found: dict[int, Any] = {
        1: [(HIT, 0.9, 0.9), (HIT, 0.8, 0.9)],
        2: [(HIT, 0.5, 0.5)],
        3: [(HIT, 0.9, 0.4)],
        4: [(HIT, 0.4, 0.9)],
    }
    run = make_run(Clip("a.mp4", 10, detections=found), Clip("b.mp4", 3))
    assert alarm_frames(run, cascade=False) == 3
    assert alarm_frames(run, cascade=True) == 2


def test_the_sample_that_is_measured_by_default_is_there() -> None:
    assert (ROOT / "datasets" / "sample" / "gate-plain.mp4").is_file()
