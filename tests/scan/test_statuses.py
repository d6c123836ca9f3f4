"""Whatever is offered, each input ends in exactly one status, and the others go on."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from forensics.runlog.reader import open_run
from forensics.runlog.verify import verify_run
from forensics.scan.local import ScanResult
from forensics.types import Status
from tests.footage.test_find import HOSTILE
from tests.support.children import Fault, misbehave, starts
from tests.support.clips import truncate, write_clip, write_still, write_tone
from tests.support.scans import Silent, run_small_scan


def quick(paths: Any, run: Path, **changes: Any) -> ScanResult:
    return run_small_scan(paths, run, detector_only=True, **changes)


def statuses(result: ScanResult) -> dict[str, tuple[str, str]]:
    found = {row["path"]: (row["status"], row["reason"]) for row in result.media}
    assert len(found) == len(result.media), "a file has two rows"
    for status, reason in found.values():
        assert status in set(Status)
        assert reason or status == "ok"
    return found


def check_books(run: Path) -> None:
    """Every scanned frame has one row; coverage adds up; everything verifies."""
    tables = open_run(run)
    frames = tables.frames.to_pylist()
    keys = [(frame["media_id"], frame["frame_index"]) for frame in frames]
    assert len(set(keys)) == len(keys)
    scanned = [c for c in tables.coverage.to_pylist() if c["state"] == "scanned"]
    assert sum(c["n_frames"] for c in scanned) == len(frames)
    covered = {c["path"] for c in tables.coverage.to_pylist()}
    for row in tables.media.to_pylist():
        assert row["path"] in covered or "same content" in row["reason"]
    assert [f for f in verify_run(run) if f.problem] == []


def huge_picture(path: Path) -> Path:
    """A bitmap whose header claims 16384 x 8704 pixels."""
    header = struct.pack("<IiiHHIIiiII", 40, 16384, 8704, 1, 24, 0, 0, 0, 0, 0, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + header + bytes(64))
    return path


def no_frames(path: Path) -> None:
    """Keep the header of a Matroska file and nothing of its content."""
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])


@pytest.fixture
def bad_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bad"
    folder.mkdir()
    secret = write_clip(tmp_path / "secret.mp4", frames=10, first=500)
    write_clip(folder / "a-good.mp4", frames=10)
    (folder / "b-empty.mp4").touch()
    (folder / "c-text.mp4").write_text("this is no video\n" * 10)
    (folder / "d-concat.mp4").write_text(f"ffconcat version 1.0\nfile {secret}\n")
    (folder / "e-hls.mp4").write_text(
        f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"
    )
    write_tone(folder / "f-tone.mp4")
    no_frames(write_clip(folder / "g-noframes.mkv", frames=5))
    truncate(write_clip(folder / "h-cut.mp4", frames=40), 0.5)
    truncate(write_clip(folder / "i-cut.mkv", frames=60, options={"crf": "18"}), 0.5)
    (folder / "j-link.mp4").symlink_to(secret)
    os.mkfifo(folder / "k-fifo.mp4")
    huge_picture(folder / "l-huge.bmp")
    (folder / "m-still.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    write_clip(folder / "z-good.ts", frames=10, first=30)
    return folder


def test_bad_files_among_good_ones(bad_folder: Path, tmp_path: Path) -> None:
    result = quick(bad_folder, tmp_path / "run")
    found = statuses(result)
    assert set(found) == {path.name for path in bad_folder.iterdir()}
    wanted = {
        "a-good.mp4": ("ok", ""),
        "b-empty.mp4": ("unreadable", "empty"),
        "c-text.mp4": ("unreadable", "cannot be opened"),
        "d-concat.mp4": ("unreadable", "cannot be opened"),
        "e-hls.mp4": ("unreadable", "cannot be opened"),
        "f-tone.mp4": ("unreadable", "no video stream (the file holds: audio)"),
        "g-noframes.mkv": ("unreadable", ""),
        "h-cut.mp4": ("unreadable", "moov atom not found"),
        "i-cut.mkv": ("partial", "File ended prematurely"),
        "j-link.mp4": ("refused", "symbolic link"),
        "k-fifo.mp4": ("refused", "not a regular file"),
        "l-huge.bmp": ("refused", "16384 x 8704"),
        "m-still.png": ("unreadable", ""),
        "z-good.ts": ("ok", ""),
    }
    for name, (status, said) in wanted.items():
        assert found[name][0] == status, (name, found[name])
        assert said in found[name][1], (name, found[name])
    check_books(tmp_path / "run")
    assert {row["path"] for row in result.not_scanned} == set(wanted) - {"a-good.mp4", "z-good.ts"}


def test_bad_files_are_not_tried_for_ever(bad_folder: Path, tmp_path: Path) -> None:
    first = quick(bad_folder, tmp_path / "run")
    again = quick(bad_folder, tmp_path / "run")
    assert first.media == again.media
    assert again.frames == 0


def test_a_huge_picture_is_refused_at_once(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "huge.mkv", frames=2, size=(16384, 64), codec="mjpeg")
    data = clip.read_bytes()
    assert data.count((64).to_bytes(2, "big") + (16384).to_bytes(2, "big")) > 0
    sizes = (64).to_bytes(2, "big") + (16384).to_bytes(2, "big")
    clip.write_bytes(data.replace(sizes, (8704).to_bytes(2, "big") + (16384).to_bytes(2, "big")))
    huge_picture(tmp_path / "huge.bmp")
    started = time.monotonic()
    result = quick(tmp_path, tmp_path / "run")
    assert {status for status, _ in statuses(result).values()} <= {"refused", "unreadable"}
    assert time.monotonic() - started < 20


def test_hostile_names_go_through_the_whole_scan(tmp_path: Path) -> None:
    folder = tmp_path / "names"
    folder.mkdir()
    for number, name in enumerate(HOSTILE):
        clip = write_clip(tmp_path / "clip.mp4", frames=2, size=(64, 48), first=number)
        os.rename(clip, os.path.join(os.fsencode(folder), name))
    broken = os.path.join(os.fsencode(folder), b"broken\xfe.mp4")
    with open(broken, "wb") as stream:
        stream.write(b"nothing")
    found = statuses(quick(folder, tmp_path / "run"))
    assert len(found) == len(HOSTILE) + 1
    ends = [status for status, _ in found.values()]
    assert sorted(ends) == ["ok"] * len(HOSTILE) + ["unreadable"]
    check_books(tmp_path / "run")
    for row in open_run(tmp_path / "run").media.to_pylist():
        raw = row["path_bytes"] or row["path"].encode()
        assert os.path.exists(os.path.join(os.fsencode(folder), raw))


def fault(tmp_path: Path, how: str, times: int, name: str = "b.mp4", frame: int = 15) -> Fault:
    return Fault(name, how, frame, times, str(tmp_path / "lives"))


@pytest.fixture
def three_clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for number, name in enumerate(("a.mp4", "b.mp4", "c.mp4")):
        write_clip(folder / name, frames=30, first=100 * number)
    return folder


def test_a_decoder_that_dies_once_is_started_again(
    three_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(three_clips, tmp_path / "quiet")
    once = fault(tmp_path, "kill", times=1)
    misbehave(monkeypatch, once)
    result = quick(three_clips, tmp_path / "run")
    assert starts(once) == 2
    assert {status for status, _ in statuses(result).values()} == {"ok"}
    quiet, run = open_run(tmp_path / "quiet"), open_run(tmp_path / "run")
    assert run.frames.equals(quiet.frames)
    assert run.detections.equals(quiet.detections)
    check_books(tmp_path / "run")


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_a_decoder_that_dies_twice_is_given_up(
    three_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    twice = fault(tmp_path, how, times=9, frame=25)
    misbehave(monkeypatch, twice)
    result = quick(three_clips, tmp_path / "run")
    found = statuses(result)
    assert starts(twice) == 2
    assert [found[name][0] for name in ("a.mp4", "b.mp4", "c.mp4")] == ["ok", "crashed", "ok"]
    assert ("SIGKILL" if how == "kill" else "exit code 7") in found["b.mp4"][1]
    check_books(tmp_path / "run")
    run = open_run(tmp_path / "run")
    (row,) = [row for row in run.media.to_pylist() if row["path"] == "b.mp4"]
    kept = [f["frame_index"] for f in run.frames.to_pylist() if f["media_id"] == row["media_id"]]
    assert kept == list(range(row["frames_decoded"]))
    assert row["frames_decoded"] == 25
    coverage = [c for c in run.coverage.to_pylist() if c["path"] == "b.mp4"]
    assert sum(c["n_frames"] for c in coverage) == 30
    assert coverage[-1]["state"] == "undecodable"


def test_a_silent_decoder_is_ended(
    three_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    misbehave(monkeypatch, fault(tmp_path, "hang", times=9))
    found = statuses(quick(three_clips, tmp_path / "run", silence_s=2.0))
    assert [found[name][0] for name in ("a.mp4", "b.mp4", "c.mp4")] == ["ok", "timeout", "ok"]
    assert "no sign of life" in found["b.mp4"][1]
    check_books(tmp_path / "run")


@pytest.mark.parametrize("times", [1, 9])
def test_one_picture_that_kills_the_decoder_does_not_take_the_others_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    folder = tmp_path / "stills"
    folder.mkdir()
    for number in range(9):
        write_still(folder / f"{number}.png", number)
    misbehave(monkeypatch, fault(tmp_path, "kill", times, name="4.png", frame=0))
    found = statuses(quick(folder, tmp_path / "run"))
    wanted = {f"{n}.png": "ok" for n in range(9)} | {"4.png": "ok" if times == 1 else "crashed"}
    assert {name: status for name, (status, _) in found.items()} == wanted
    check_books(tmp_path / "run")


class Meddling(Silent):
    """Does something to the footage when the first frames are out."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self._act = act

    def frames(self, n: int) -> None:
        if not self.seen:
            self._act()
        super().frames(n)


def test_a_file_that_vanishes_before_its_turn(three_clips: Path, tmp_path: Path) -> None:
    kept = (three_clips / "c.mp4").read_bytes()
    meddling = Meddling((three_clips / "c.mp4").unlink)
    found = statuses(quick(three_clips, tmp_path / "run", progress=meddling))
    assert found["c.mp4"][0] == "unreadable"
    assert (found["a.mp4"][0], found["b.mp4"][0]) == ("ok", "ok")
    (three_clips / "c.mp4").write_bytes(kept)
    found = statuses(quick(three_clips, tmp_path / "run"))
    assert found["c.mp4"] == ("ok", ""), "it is back, and was not scanned"
    check_books(tmp_path / "run")


def test_a_file_that_changes_while_it_is_scanned(three_clips: Path, tmp_path: Path) -> None:
    def grow() -> None:
        with open(three_clips / "a.mp4", "ab") as stream:
            stream.write(b"more")

    found = statuses(quick(three_clips, tmp_path / "run", progress=Meddling(grow)))
    assert found["a.mp4"][0] == "partial"
    assert "changed while it was scanned" in found["a.mp4"][1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(three_clips: Path, tmp_path: Path) -> None:
    (three_clips / "b.mp4").chmod(0)
    found = statuses(quick(three_clips, tmp_path / "run"))
    assert found["b.mp4"][0] == "unreadable"
    assert "Permission denied" in found["b.mp4"][1]
    (three_clips / "b.mp4").chmod(0o600)
    assert statuses(quick(three_clips, tmp_path / "run"))["b.mp4"] == ("ok", "")


def test_a_folder_named_like_a_clip(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    (folder / "folder.mp4").mkdir(parents=True)
    write_clip(folder / "folder.mp4" / "inside.mp4", frames=5)
    assert set(statuses(quick(folder, tmp_path / "run"))) == {"folder.mp4/inside.mp4"}
