"""Real footage, against ffprobe as an independent witness."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from forensics.footage.find import find_inputs
from forensics.footage.probe import probe_file
from tests.support.data import FOOTAGE, needs_footage
from tests.support.decoding import count_frames, decode, ffprobe

pytestmark = needs_footage

# Broken when they came: the first deliberately, the second by its recorder (a slice of the wrong
# type in the middle, and its clock goes back once).
ODD = {"odd/Megamind_bugy.avi", "ordinary/box.mp4"}


@pytest.fixture(scope="module")
def probed() -> list[tuple[dict[str, Any], int]]:
    """Each file's facts, and ffprobe's count of its frames; the largest first, two at a time."""
    files = sorted(find_inputs([FOOTAGE], recursive=True), key=lambda f: -f.size_bytes)
    with ThreadPoolExecutor(2) as pool:
        facts = pool.map(lambda file: probe_file(file, count=True), files)
        counts = pool.map(lambda file: count_frames(file.path), files)
        return list(zip(facts, counts, strict=True))


def test_every_file_has_the_frames_that_ffprobe_counts(
    probed: list[tuple[dict[str, Any], int]],
) -> None:
    differing = {
        facts["path"]: (facts["frames_decoded"], counted)
        for facts, counted in probed
        if facts["frames_decoded"] != counted
    }
    assert differing.keys() <= {"ordinary/box.mp4"}
    assert len(probed) > 60


def test_clean_files_are_not_suspected(probed: list[tuple[dict[str, Any], int]]) -> None:
    for facts, _ in probed:
        if facts["path"] not in ODD:
            assert (facts["status"], facts["reason"]) == ("ok", ""), facts
            assert facts["frames_suspect"] == facts["frames_lost"] == facts["frames_missing"] == 0


def test_odd_files_say_what_is_wrong_with_them(probed: list[tuple[dict[str, Any], int]]) -> None:
    for facts, _ in probed:
        if facts["path"] in ODD:
            assert facts["status"] == "partial"
            assert "time goes back" in facts["reason"]
            assert facts["frames_suspect"] > 0


@pytest.mark.parametrize(
    "name", ["odd/traffic_camera_vfr.mp4", "gun/nofi011.mp4", "labelled/tud-campus.mp4"]
)
def test_times_are_those_of_the_container(name: str) -> None:
    path = FOOTAGE / name
    entries = ["-show_entries", "frame=pts_time,best_effort_timestamp_time"]
    wanted = [float(f["best_effort_timestamp_time"]) for f in ffprobe(path, *entries)["frames"]]
    seen = decode(path, imgsz=32, pictures=False)
    found = [frame.time_s for frame in seen.frames]
    assert len(found) == len(wanted)
    assert max(abs(a - b) for a, b in zip(found, wanted, strict=True) if a is not None) < 1e-3
    assert None not in found


def test_variable_frame_rate_is_noticed(probed: list[tuple[dict[str, Any], int]]) -> None:
    vfr = {facts["path"]: facts["vfr"] for facts, _ in probed}
    assert vfr["odd/traffic_camera_vfr.mp4"] is True
    assert vfr["odd/traffic_camera.mp4"] is False
    assert vfr["labelled/pets09-s2l1.avi"] is False


def test_the_edit_list_is_obeyed() -> None:
    """The header counts 500 packets; the first four are not shown."""
    seen = decode(FOOTAGE / "gun" / "shop-counter.mp4", imgsz=32, pictures=False)
    assert seen.info is not None
    assert seen.info.frames_header == 500
    assert len(seen.frames) == seen.end.facts["frames_decoded"] == 496
    assert (seen.frames[0].index, seen.frames[0].pts) == (0, 0)
    assert [frame.index for frame in seen.frames] == list(range(496))


def test_footage_is_left_as_it_is(tmp_path: Path) -> None:
    path = FOOTAGE / "labelled" / "tud-campus.mp4"
    before = path.stat()
    decode(path, imgsz=32)
    after = path.stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
