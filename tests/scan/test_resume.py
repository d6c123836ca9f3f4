"""Going on with a run: when it is allowed, and that nothing is lost or done twice."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.cascade.definition import ZOO, load_cascade
from forensics.errors import CascadeError, ForensicsError, RunLogError
from forensics.footage.find import find_inputs
from forensics.runlog.ledger import SIDE_FILES, Ledger
from forensics.runlog.reader import open_run
from forensics.runlog.verify import extent_of, verify_run
from forensics.scan import plan
from forensics.scan.finish import write_sums
from forensics.scan.local import scan
from forensics.scan.settings import library_versions
from forensics.tiling import Tiling
from tests.support.clips import write_clip, write_stills_with_a_copy
from tests.support.scans import Silent, fingerprint, run_small_scan, small_settings


class Interrupting(Silent):
    """Presses Ctrl-C at the n-th event of the kind `at`: frames, segment or file."""

    def __init__(self, at: str, n: int) -> None:
        super().__init__()
        self._at, self._left = at, n

    def _count(self, kind: str) -> None:
        self._left -= kind == self._at
        if self._left == 0:
            self._left = -1
            raise KeyboardInterrupt

    def frames(self, n: int) -> None:
        super().frames(n)
        self._count("frames")

    def segment(self, footage_s: float) -> None:
        self._count("segment")

    def file(self, row: dict[str, Any], size_bytes: int) -> None:
        super().file(row, size_bytes)
        self._count("file")


def quick(paths: Any, run: Path, **changes: Any) -> Any:
    return run_small_scan(paths, run, detector_only=True, **changes)


def problems(run: Path) -> list[str]:
    return [f"{f.name}: {f.problem}" for f in verify_run(run) if f.problem]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    write_clip(folder / "a.mp4", frames=30)
    write_clip(folder / "b.mp4", frames=25, first=50)
    return folder


@pytest.fixture(scope="module")
def two_stills_a_unit() -> Iterator[None]:
    """So that six stills are several units."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "STILLS_PER_UNIT", 2)
        yield


@pytest.fixture(scope="module")
def quiet(
    archive: Path, two_stills_a_unit: None, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The log of a scan that nobody disturbed."""
    run = tmp_path_factory.mktemp("quiet") / "run"
    quick(archive, run)
    return fingerprint(run)


@pytest.mark.parametrize(
    ("at", "n"), [("frames", 1), ("segment", 1), ("segment", 3), ("file", 1), ("file", 4)]
)
def test_stopped_between_any_two_steps_and_gone_on(
    archive: Path, tmp_path: Path, at: str, n: int, quiet: dict[str, str]
) -> None:
    stopped = quick(archive, tmp_path / "run", progress=Interrupting(at, n))
    assert stopped.interrupted
    assert not problems(tmp_path / "run")
    assert not quick(archive, tmp_path / "run").interrupted
    assert fingerprint(tmp_path / "run") == quiet


def test_a_finished_run_is_not_scanned_again(archive: Path, tmp_path: Path) -> None:
    quick(archive, tmp_path / "run")
    before, again = fingerprint(tmp_path / "run"), Silent()
    result = quick(archive, tmp_path / "run", progress=again)
    assert again.seen == 0
    assert result.frames == 0
    assert fingerprint(tmp_path / "run") == before
    assert not problems(tmp_path / "run")


def everything(run: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in run.rglob("*") if path.is_file())
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_a_sealed_record_is_not_touched_when_nothing_is_left_to_scan(
    clips: Path, tmp_path: Path
) -> None:
    """Also where a file is refused, or unreadable for good, or its time of change is another."""
    (clips / "broken.mp4").write_text("nothing")
    (clips / "link.mp4").symlink_to(clips / "a.mp4")
    first = quick(clips, tmp_path / "run", argv=["first"])
    before = everything(tmp_path / "run")
    os.utime(clips / "a.mp4", (1, 1))
    again = quick(clips, tmp_path / "run", argv=["second"])
    assert everything(tmp_path / "run") == before
    assert again.nothing_to_do and not first.nothing_to_do
    assert again.media == first.media
    assert len(again.not_scanned) == 2
    (clips / "link.mp4").unlink()
    shutil.copy(clips / "b.mp4", clips / "link.mp4")
    assert not quick(clips, tmp_path / "run", argv=["third"]).nothing_to_do
    assert everything(tmp_path / "run") != before
    assert not problems(tmp_path / "run")


def test_a_journal_that_came_after_the_seal_is_no_complete_run(clips: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    quick(clips, run)
    (run / "ledger.sqlite-wal").write_bytes(b"an edit")
    with pytest.raises(RunLogError, match="lies beside a ledger that was sealed"):
        quick(clips, run)
    (run / "ledger.sqlite-wal").unlink()
    assert quick(clips, run).nothing_to_do


def test_every_session_of_a_run_is_on_record(clips: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    quick(clips, run, progress=Interrupting("file", 1), argv=["one"])
    first = json.loads((run / "run.json").read_bytes())
    with pytest.raises(Gone):
        quick(clips, run, progress=Killed("frames", 1), argv=["two"])
    quick(clips, run, argv=["three"])
    manifest = json.loads((run / "run.json").read_bytes())
    assert [session["argv"] for session in manifest["sessions"]] == [["one"], ["two"], ["three"]]
    assert manifest["sessions"][0] == first["sessions"][0]
    assert [s["ended_utc"] is None for s in manifest["sessions"]] == [False, True, False]
    assert [s.get("status") for s in manifest["sessions"]] == ["partial", None, "complete"]
    assert (manifest["argv"], manifest["started_utc"]) == (["one"], first["started_utc"])
    assert (manifest["status"], manifest["ended_utc"]) == (
        "complete",
        manifest["sessions"][2]["ended_utc"],
    )
    timings = json.loads((run / "timings.json").read_bytes())
    assert timings["frames"] == sum(s["frames"] for s in timings["sessions"]) >= 55
    assert len(timings["sessions"]) == 2
    assert all(session["frames"] > 0 for session in timings["sessions"])


def test_how_far_an_interrupted_run_has_come(clips: Path, tmp_path: Path) -> None:
    """Also the file that was only begun with is hashed again: its hash is on record."""
    run = tmp_path / "run"
    write_clip(clips / "c.mp4", frames=10, first=90)
    write_clip(clips / "d.mp4", frames=10, first=110)
    quick(clips, run, progress=Interrupting("segment", 3))
    extent = extent_of(run)
    assert (extent.status, extent.files, extent.whole) == ("partial", 4, False)
    assert (extent.not_hashed, extent.not_scanned) == (2, 3)
    kept = (clips / "b.mp4").read_bytes()
    (clips / "b.mp4").write_bytes(kept[:-1])
    assert [p.partition(":")[0] for p in problems(run)] == ["b.mp4"]
    (clips / "b.mp4").write_bytes(kept)
    quick(clips, run)
    assert extent_of(run).whole


def test_a_run_of_an_earlier_version_keeps_its_session(clips: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    quick(clips, run, progress=Interrupting("file", 1), argv=["one"])
    manifest = json.loads((run / "run.json").read_bytes())
    del manifest["sessions"]
    (run / "run.json").write_text(json.dumps(manifest))
    (run / "timings.json").write_text('{"elapsed_s": 2.0, "frames": 30, "batch": 4}')
    write_sums(run)  # as that version sealed it
    quick(clips, run, argv=["two"])
    gone_on = json.loads((run / "run.json").read_bytes())
    assert [session["argv"] for session in gone_on["sessions"]] == [["one"], ["two"]]
    assert gone_on["sessions"][0]["ended_utc"] == manifest["ended_utc"]
    timings = json.loads((run / "timings.json").read_bytes())
    assert timings["frames"] == 30 + timings["sessions"][1]["frames"]


def test_a_copy_among_stills_is_no_reason_to_forget_the_original(tmp_path: Path) -> None:
    """The copy is recorded before its chunk is decoded: an interruption falls in between."""
    folder = write_stills_with_a_copy(tmp_path / "stills")
    stopped = quick(folder, tmp_path / "run", progress=Interrupting("file", 1))
    assert stopped.interrupted
    assert {row["status"] for row in stopped.media} == {"partial"}
    result = quick(folder, tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert [row["status"] for row in result.media] == ["ok"] * 3
    assert run.frames.num_rows == 2


def test_the_sums_list_parts_as_they_were_committed(clips: Path, tmp_path: Path) -> None:
    quick(clips, tmp_path / "run")
    before = (tmp_path / "run" / "SHA256SUMS").read_text()
    assert before.count("frames/") == before.count("detections/") == 4
    part = next((tmp_path / "run" / "frames").iterdir())
    sound = part.read_bytes()
    part.write_bytes(sound[:-1])
    quick(clips, tmp_path / "run")  # nothing to do, but to write the sums again
    assert f"{hashlib.sha256(sound).hexdigest()}  frames/{part.name}" in before
    assert (
        f"{hashlib.sha256(sound).hexdigest()}  frames/{part.name}"
        in (tmp_path / "run" / "SHA256SUMS").read_text()
    )
    assert [p for p in problems(tmp_path / "run") if p.startswith(f"frames/{part.name}")]


def changed_settings() -> list[tuple[str, dict[str, Any]]]:
    cascade = load_cascade("handgun")
    return [
        ("floor", {"floor": 0.0002}),
        ("gate", {"gate": 0.01}),
        ("imgsz", {"imgsz": 96}),
        ("tiling", {"tiling": Tiling(2, 2, 0.2)}),
        ("max_detections", {"max_detections": 3}),
        ("backend", {"backend": "openvino"}),
        ("segment_s", {"segment_s": 1.0}),
        ("cascade", {"cascade": replace_hash(cascade)}),
    ]


def replace_hash(cascade: Any) -> Any:
    return replace(cascade, sha256="0" * 64)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A clip and its finished run. Refusals leave both as they are, which is asserted."""
    folder = tmp_path_factory.mktemp("finished")
    clip = write_clip(folder / "a.mp4", frames=10)
    quick(clip, folder / "run")
    return clip, folder / "run"


@pytest.mark.parametrize(("name", "change"), changed_settings())
def test_other_settings_refuse_to_go_on(
    finished: tuple[Path, Path], name: str, change: dict[str, Any]
) -> None:
    clip, run = finished
    before = fingerprint(run)
    with pytest.raises(RunLogError, match="another cascade, engine or settings"):
        quick(clip, run, **change)
    assert fingerprint(run) == before
    assert not problems(run)


def test_another_engine_version_refuses_to_go_on(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(clips, tmp_path / "run", progress=Interrupting("file", 1))
    known = library_versions()
    newer = {**known, "onnxruntime": "99.0"}
    monkeypatch.setattr("forensics.scan.settings.library_versions", lambda: newer)
    with pytest.raises(RunLogError, match="another cascade, engine or settings"):
        quick(clips, tmp_path / "run")


@pytest.mark.parametrize(("at", "n"), [("segment", 1), ("file", 1), ("file", 99)])
def test_a_changed_file_refuses_to_go_on(clips: Path, tmp_path: Path, at: str, n: int) -> None:
    quick(clips, tmp_path / "run", progress=Interrupting(at, n))
    before = fingerprint(tmp_path / "run")
    write_clip(clips / "a.mp4", frames=31)
    with pytest.raises(RunLogError, match=r"a\.mp4 has changed"):
        quick(clips, tmp_path / "run")
    unchanged = {name: sha for name, sha in before.items() if "/" in name}
    assert unchanged.items() <= fingerprint(tmp_path / "run").items()
    if n == 99:  # a finished run stays verifiable
        assert [p for p in problems(tmp_path / "run") if not p.startswith("a.mp4")] == []


def test_a_file_that_became_a_link_refuses_to_go_on(clips: Path, tmp_path: Path) -> None:
    quick(clips, tmp_path / "run")
    (clips / "a.mp4").rename(tmp_path / "elsewhere.mp4")
    (clips / "a.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    with pytest.raises(RunLogError, match=r"a\.mp4 has changed"):
        quick(clips, tmp_path / "run")


def test_a_touched_file_is_the_same_file(clips: Path, tmp_path: Path) -> None:
    quick(clips, tmp_path / "run")
    before = fingerprint(tmp_path / "run")
    os.utime(clips / "a.mp4", (1, 1))
    again = Silent()
    quick(clips, tmp_path / "run", progress=again)
    assert again.seen == 0
    assert fingerprint(tmp_path / "run") == before


@pytest.mark.parametrize(("at", "n"), [("segment", 1), ("file", 1)])
def test_a_file_that_is_gone_stays_in_the_log(clips: Path, tmp_path: Path, at: str, n: int) -> None:
    quick(clips, tmp_path / "run", progress=Interrupting(at, n))
    (clips / "a.mp4").unlink()
    result = quick(clips, tmp_path / "run")
    row = next(row for row in result.media if row["path"] == "a.mp4")
    run = open_run(tmp_path / "run")
    kept = [f for f in run.frames.to_pylist() if f["media_id"] == row["media_id"]]
    assert [f["frame_index"] for f in kept] == list(range(20 if at == "segment" else 30))
    assert row["status"] == ("partial" if at == "segment" else "ok")
    if at == "segment":
        assert "no longer" in row["reason"]
        states = [c["state"] for c in run.coverage.to_pylist() if c["path"] == "a.mp4"]
        assert states == ["scanned", "not_reached"]


def test_a_file_that_was_gone_for_a_while_is_scanned_then(clips: Path, tmp_path: Path) -> None:
    quick(clips, tmp_path / "quiet")
    quick(clips, tmp_path / "run", progress=Interrupting("segment", 1))
    (clips / "a.mp4").rename(tmp_path / "a.mp4")
    quick(clips, tmp_path / "run")
    (tmp_path / "a.mp4").rename(clips / "a.mp4")
    quick(clips, tmp_path / "run")
    assert fingerprint(tmp_path / "run") == fingerprint(tmp_path / "quiet")


def test_more_files_may_join_a_run(clips: Path, tmp_path: Path) -> None:
    quick(clips, tmp_path / "run")
    write_clip(clips / "c.mp4", frames=10, first=90)
    again = Silent()
    quick(clips, tmp_path / "run", progress=again)
    assert again.seen == 10
    assert not problems(tmp_path / "run")


def test_another_camera_rule_is_written_down_though_nothing_is_left_to_scan(
    clips: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    quick(clips, run)
    inputs = find_inputs([clips], recursive=False, camera="([ab])")
    for _ in range(2):
        again = Silent()
        scan(inputs, clips, run, small_settings(detector_only=True), progress=again)
        assert again.seen == 0
    media = open_run(run).media.to_pylist()
    assert {row["camera_id"] for row in media} == {"a", "b"}
    sessions = json.loads((run / "run.json").read_bytes())["sessions"]
    assert len(sessions) == 2  # the third scan found all as it asked
    assert not problems(run)


@pytest.mark.parametrize("table", ["media.parquet", "run.json", "ledger.sqlite"])
def test_a_sealed_run_that_was_changed_is_not_sealed_again(
    clips: Path, tmp_path: Path, table: str
) -> None:
    """Else going on with it would hide what was changed."""
    run = tmp_path / "run"
    quick(clips, run, progress=Interrupting("file", 1))
    if table == "ledger.sqlite":
        database = sqlite3.connect(run / table)
        with database:
            database.execute("UPDATE media SET row = replace(row, 'ok', 'partial')")
        database.close()
        for name in SIDE_FILES:
            (run / name).unlink(missing_ok=True)
    else:
        (run / table).write_bytes((run / table).read_bytes() + b" ")
    seal = (run / "SHA256SUMS").read_bytes()
    with pytest.raises(RunLogError, match=f"{table} was changed after the scan had ended"):
        quick(clips, run)
    assert (run / "SHA256SUMS").read_bytes() == seal


@pytest.mark.parametrize("kind", ["frames", "detections"])
def test_parts_of_a_sealed_run_are_checked_before_it_is_gone_on_with(
    clips: Path, tmp_path: Path, kind: str
) -> None:
    run = tmp_path / "run"
    quick(clips, run, progress=Interrupting("file", 1))
    part = sorted((run / kind).iterdir())[0]
    content, seal = part.read_bytes(), (run / "SHA256SUMS").read_bytes()
    part.write_bytes(content[:-1] + b"?")
    with pytest.raises(RunLogError, match=f"{kind}/{part.name} was changed after the scan"):
        quick(clips, run)
    part.unlink()
    with pytest.raises(RunLogError, match="cannot be read: .*restore that file"):
        quick(clips, run)
    assert (run / "SHA256SUMS").read_bytes() == seal
    part.write_bytes(content)
    quick(clips, run)
    assert not problems(run)


def test_other_footage_is_refused(clips: Path, tmp_path: Path) -> None:
    quick(clips, tmp_path / "run")
    write_clip(tmp_path / "other.mp4", frames=10)
    with pytest.raises(RunLogError, match="was made from .*choose another --out"):
        quick(tmp_path / "other.mp4", tmp_path / "run")
    assert not problems(tmp_path / "run")


def test_overwrite_starts_again(clips: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    quick(clips, run)
    before = fingerprint(run)
    (run / "notes.txt").write_text("mine")
    (run / "my.parquet").write_text("mine")
    again = Silent()
    quick(clips, run, progress=again, overwrite=True, floor=0.001, gate=0.001)
    assert again.seen == 55
    assert fingerprint(run) != before
    assert (run / "notes.txt").read_text() == (run / "my.parquet").read_text() == "mine"


def test_overwrite_keeps_the_old_run_when_the_new_one_cannot_start(
    clips: Path, tmp_path: Path
) -> None:
    shutil.copytree(ZOO / "handgun", tmp_path / "cascade")
    (tmp_path / "cascade" / "detector.fp32.onnx").write_bytes(b"other")
    quick(clips, tmp_path / "run")
    before = fingerprint(tmp_path / "run")
    with pytest.raises(CascadeError, match="SHA-256"):
        broken = load_cascade(str(tmp_path / "cascade"))
        quick(clips, tmp_path / "run", overwrite=True, cascade=broken)
    assert fingerprint(tmp_path / "run") == before
    assert not problems(tmp_path / "run")


def test_a_folder_with_other_things_is_refused(clips: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(RunLogError, match="holds other files"):
            quick(clips, run, overwrite=overwrite)
    assert [path.name for path in run.iterdir()] == ["thesis.txt"]


def test_two_scans_cannot_write_one_run(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with open(tmp_path / "run" / ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunLogError, match="another scan"):
            quick(clips, tmp_path / "run")
    quick(clips, tmp_path / "run")


def corrupt_run_json(run: Path) -> None:
    (run / "run.json").write_text("{")


def corrupt_ledger(run: Path) -> None:
    data = bytearray((run / "ledger.sqlite").read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    (run / "ledger.sqlite").write_bytes(data)


def empty_ledger(run: Path) -> None:
    (run / "ledger.sqlite").write_bytes(b"no database at all, but text")


@pytest.mark.parametrize("break_it", [corrupt_run_json, corrupt_ledger, empty_ledger])
def test_a_damaged_run_is_an_expected_error(
    clips: Path, tmp_path: Path, break_it: Callable[[Path], None]
) -> None:
    quick(clips, tmp_path / "run")
    break_it(tmp_path / "run")
    with pytest.raises(ForensicsError):
        quick(clips, tmp_path / "run")


def test_the_plan_is_on_record_before_the_first_frame(clips: Path, tmp_path: Path) -> None:
    stopped = quick(clips, tmp_path / "run", progress=Interrupting("frames", 1))
    assert [row["path"] for row in stopped.media] == ["a.mp4", "b.mp4"]
    ledger = Ledger(tmp_path / "run")
    assert list(ledger.media()) == ["a.mp4", "b.mp4"]
    ledger.close()
    coverage = open_run(tmp_path / "run").coverage.to_pylist()
    assert [row["state"] for row in coverage] == ["not_reached"] * 2
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["status"] == "partial"


class Gone(BaseException):
    """The process is killed: nothing after it is done."""


class Killed(Interrupting):
    def _count(self, kind: str) -> None:
        try:
            super()._count(kind)
        except KeyboardInterrupt:
            raise Gone from None


def test_a_run_that_was_killed_when_gone_on_with_says_so(clips: Path, tmp_path: Path) -> None:
    """Its tables are those of the first session, and know nothing of what came after."""
    run = tmp_path / "run"
    quick(clips, run, progress=Interrupting("file", 1))
    with pytest.raises(Gone):
        quick(clips, run, progress=Killed("segment", 2))
    with pytest.raises(RunLogError, match=r"cut off before its end: run the same `scan`"):
        open_run(run)
    assert any("scan has not come to its end" in problem for problem in problems(run))
    quick(clips, run)
    assert open_run(run).frames.num_rows == 55
    assert not problems(run)
