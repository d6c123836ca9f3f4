"""Scans that pass over what cannot matter: nothing is lost from the books, and nothing depends on
how the scan was run."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from forensics.evaluation.evaluate import evaluate
from forensics.footage.protocol import Sampling, StaticRule
from forensics.report.page import build_report
from forensics.runlog.reader import RunTables, looked_at, open_run
from forensics.runlog.verify import verify_run
from forensics.truth.load import load_truth
from tests.support.children import Fault, misbehave, starts
from tests.support.clips import write_clip
from tests.support.scans import (
    fingerprint,
    run_command,
    run_small_scan,
    scan_arguments,
    small_settings,
    start_command,
)
from tests.support.still_life import halting_clip

STATIC = Sampling(static=StaticRule())
KEYFRAMES = Sampling(keyframes_only=True)
FRAMES = 100


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("halting")
    halting_clip(folder / "cup.mp4")
    return folder


@pytest.fixture(scope="module")
def runs(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Scans of all frames, without static ones, and of keyframes."""
    folder = tmp_path_factory.mktemp("runs")
    made = {"all": Sampling(), "static": STATIC, "keyframes": KEYFRAMES}
    for name, sampling in made.items():
        run_small_scan(footage, folder / name, sampling=sampling)
    return {name: folder / name for name in made}


def rows(run: RunTables, table: str, *wanted: int) -> list[dict[str, Any]]:
    found = getattr(run, table).to_pylist()
    return [row for row in found if not wanted or row["frame_index"] in wanted]


def test_static_frames_keep_their_rows_and_the_others_are_as_ever(runs: dict[str, Path]) -> None:
    plain, gated = open_run(runs["all"]), open_run(runs["static"])
    listed = rows(gated, "frames")
    assert [row["frame_index"] for row in listed] == list(range(FRAMES))
    static = {row["frame_index"] for row in listed if row["status"] == "static"}
    assert FRAMES // 2 < len(static) < FRAMES - 10
    for row, whole in zip(listed, rows(plain, "frames"), strict=True):
        if row["frame_index"] in static:
            assert row["n_detections"] is row["n_classified"] is None, "nobody looked"
            whole |= {"status": "static", "n_detections": None, "n_classified": None}
        assert row == whole
    looked = sorted(set(range(FRAMES)) - static)
    assert rows(gated, "detections") == rows(plain, "detections", *looked)
    assert [f for f in verify_run(runs["static"]) if f.problem] == []


def test_the_coverage_says_what_was_passed_over_and_why(runs: dict[str, Path]) -> None:
    gated = open_run(runs["static"])
    counts = {"scanned": 0, "static": 0}
    for row in gated.coverage.to_pylist():
        counts[row["state"]] += row["n_frames"]
        assert ("4 of 255 grey levels" in row["reason"]) == (row["state"] == "static")
    assert counts["static"] == pc.sum(pc.equal(gated.frames["status"], "static")).as_py()
    assert sum(counts.values()) == FRAMES
    assert gated.manifest["sampling"]["static"] == {"threshold": 4.0, "refresh_s": 2.0}


def test_an_evaluation_counts_them_as_footage_and_not_as_processed(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    spans = tmp_path / "truth.csv"
    spans.write_text("file,start_s,end_s,class\ncup.mp4,0,3,none\ncup.mp4,3,3.5,gun\n")
    truth = load_truth([spans], None)
    books = {
        name: evaluate(open_run(folder), truth).denominators
        for name, folder in runs.items()
    }
    n_static = FRAMES - looked_at(open_run(runs["static"]).frames).num_rows
    for name, left_out in (("all", 0), ("static", n_static), ("keyframes", FRAMES - 10)):
        assert books[name]["frames_footage"] == FRAMES, name
        assert books[name]["frames_processed"] == FRAMES - left_out, name
        assert books[name]["frames_undecodable"] == 0, name
    hours = [book["hours_negative"] for book in books.values()]
    assert hours[1] == pytest.approx(hours[0], rel=0.05), "what was static lasted all the same"


def test_the_report_says_so(runs: dict[str, Path], tmp_path: Path) -> None:
    page = build_report(open_run(runs["static"])).replace("\N{NO-BREAK SPACE}", " ")
    n = FRAMES - looked_at(open_run(runs["static"]).frames).num_rows
    assert "left out as static" in page
    assert f"{n} left out as static" in page
    assert "changed by less than 4 of 255 grey levels" in page
    page = build_report(open_run(runs["keyframes"]))
    assert "only keyframes were examined" in page


def test_keyframes_only_gives_the_rows_of_a_whole_scan_for_them(runs: dict[str, Path]) -> None:
    plain, run = open_run(runs["all"]), open_run(runs["keyframes"])
    keyframes = [row["frame_index"] for row in rows(plain, "frames") if row["keyframe"]]
    assert keyframes == list(range(0, FRAMES, 10))
    assert rows(run, "frames") == rows(plain, "frames", *keyframes)
    assert rows(run, "detections") == rows(plain, "detections", *keyframes)
    out = [row for row in run.coverage.to_pylist() if row["state"] == "sampled_out"]
    assert sum(row["n_frames"] for row in out) == FRAMES - len(keyframes)
    assert {row["reason"] for row in out} == {"only keyframes were asked for"}


@pytest.mark.parametrize("changes", [{"batch": 1}, {"batch": 7}, {"threads": 2}])
def test_batch_and_threads_do_not_change_what_is_static(
    footage: Path, runs: dict[str, Path], tmp_path: Path, changes: dict[str, int]
) -> None:
    run_small_scan(footage, tmp_path / "run", sampling=STATIC, **changes)
    assert fingerprint(tmp_path / "run") == fingerprint(runs["static"])


def test_a_decoder_that_dies_between_static_frames_is_started_again(
    footage: Path, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = Fault("cup.mp4", "kill", 55, 1, str(tmp_path / "lives"))
    misbehave(monkeypatch, once)
    run_small_scan(footage, tmp_path / "run", sampling=STATIC)
    assert starts(once) == 2
    assert fingerprint(tmp_path / "run") == fingerprint(runs["static"])


def test_a_killed_scan_goes_on_to_the_same_log(
    footage: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = [*scan_arguments(footage, run), "--skip-static"]
    process = start_command(command)
    while process.poll() is None and len(list(run.glob("frames/*.parquet"))) < 3:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    code, _, errors = run_command(scan_arguments(footage, run))
    assert code == 1 and "another cascade, engine or settings" in errors
    code, output, errors = run_command(command)
    assert code == 0, errors
    assert "frames passed over as static" in output
    assert fingerprint(run) == fingerprint(runs["static"])


def test_a_file_that_ends_in_static_frames_is_whole(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", frames=12)
    never = Sampling(static=StaticRule(threshold=255.0))
    (row,) = run_small_scan(clip, tmp_path / "run", sampling=never).media
    assert (row["status"], row["frames_decoded"]) == ("ok", 12)
    run = open_run(tmp_path / "run")
    assert [row["status"] for row in rows(run, "frames")] == ["ok"] + ["static"] * 11
    assert run.coverage["stop_frame"].to_pylist() == [12, 12]


def test_every_part_of_the_rule_makes_another_run() -> None:
    rules = (None, StaticRule(), StaticRule(threshold=5.0), StaticRule(refresh_s=1.0))
    samplings = [*(Sampling(static=rule) for rule in rules), KEYFRAMES]
    settings = small_settings()
    assert len({replace(settings, sampling=s).config_hash() for s in samplings}) == 5


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--static-refresh 1", "need --skip-static"),
        ("--static-threshold 3", "need --skip-static"),
        ("--keyframes-only --time-sample 1", "give one of"),
        ("--frame-sample 2 --time-sample 1", "give one of"),
        ("--skip-static --static-threshold nan", "is no number"),
        ("--skip-static --static-refresh 0", "is not in the range"),
    ],
)
def test_options_that_make_no_sense(
    footage: Path, tmp_path: Path, options: str, complaint: str
) -> None:
    code, _, errors = run_command([*scan_arguments(footage, tmp_path / "run"), *options.split()])
    assert code == 2
    assert complaint in errors
