"""Pictures: of the right frame and place, fetched once, kept, and never trusted blindly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from forensics.footage.grab import grab_frames
from forensics.report import evidence
from forensics.report.evidence import CHANGED, GONE, UNDECODED, Album, Want
from tests.support.clips import numbered_luma, read_number

from .helpers import AWAY, SIZE, decode, world

BOX = (AWAY[0], AWAY[1], AWAY[0] + AWAY[2], AWAY[1] + AWAY[3])


@pytest.fixture
def place(tmp_path: Path):
    return world(tmp_path, "gate.mp4")


def media_id(run) -> str:
    return run.media["media_id"][0].as_py()


def test_pictures_show_the_frame_and_the_box(place) -> None:
    want = Want(media_id(place), 13, BOX)
    shot = Album(place).shots([want])[want]
    assert shot.problem == "" and read_number(decode(shot.frame.uri)) == 13
    assert (shot.frame.width, shot.frame.height) == SIZE and shot.frame_box == AWAY
    crop = decode(shot.crop.uri)
    x, y, width, height = shot.crop_box
    assert crop.shape[:2] == (shot.crop.height, shot.crop.width) and (width, height) == AWAY[2:]
    left, top = int(AWAY[0] - x), int(AWAY[1] - y)
    expected = numbered_luma(13, *SIZE)[top : top + crop.shape[0], left : left + crop.shape[1]]
    assert np.abs(crop[..., 1].astype(int) - expected).mean() < 6
    assert not shot.crop_scaled


def test_large_boxes_are_scaled_and_say_so(place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "CROP_SIDE", 40)
    want = Want(media_id(place), 3, (0.0, 0.0, 160.0, 120.0))
    shot = Album(place).shots([want])[want]
    assert max(shot.crop.width, shot.crop.height) == 40 and shot.crop_scaled
    assert shot.crop_box == (0.0, 0.0, 40.0, 30.0)


def test_one_pass_per_file_and_frames_out_of_order(place, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(path, indices):
        calls.append((path.name, sorted(indices)))
        return grab_frames(path, indices)

    monkeypatch.setattr(evidence, "grab_frames", counted)
    wants = [Want(media_id(place), index, BOX) for index in (13, 4, 12)]
    wants.append(Want(media_id(place), 4, (0.0, 0.0, 9.0, 9.0)))
    seen = []
    shots = Album(place).shots(wants, lambda done, total: seen.append((done, total)))
    assert calls == [("gate.mp4", [4, 12, 13])]
    assert [read_number(decode(shots[want].frame.uri)) for want in wants] == [13, 4, 12, 4]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_kept_pictures_serve_when_the_footage_is_gone(place, tmp_path: Path) -> None:
    want = Want(media_id(place), 13, BOX)
    first = Album(place).shots([want])[want]
    (tmp_path / "footage" / "gate.mp4").unlink()
    assert Album(place).shots([want])[want] == first
    other = Want(media_id(place), 12, BOX)
    assert Album(place).shots([other])[other].problem == GONE


def test_kept_pictures_are_named_by_hash_and_say_what_they_show(place) -> None:
    want = Want(media_id(place), 13, BOX)
    shot = Album(place).shots([want])[want]
    folder = place.folder / "evidence"
    names = {path.name for path in folder.iterdir()}
    assert {f"{shot.frame.sha256}.jpg", f"{shot.crop.sha256}.jpg"} <= names
    records = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    assert {record["frame_index"] for record in records} == {13}
    assert {record["media_id"] for record in records} == {media_id(place)}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    Album(place).shots([want])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_kept_picture_that_was_changed_is_made_again(place) -> None:
    want = Want(media_id(place), 13, BOX)
    shot = Album(place).shots([want])[want]
    forged = place.folder / "evidence" / f"{shot.crop.sha256}.jpg"
    other = place.folder / "evidence" / f"{shot.frame.sha256}.jpg"
    forged.write_bytes(other.read_bytes())
    assert Album(place).shots([want])[want] == shot


def test_footage_that_changed_gives_no_picture(place, tmp_path: Path) -> None:
    path = tmp_path / "footage" / "gate.mp4"
    path.write_bytes(path.read_bytes() + b"x")
    want = Want(media_id(place), 13, BOX)
    assert Album(place).shots([want])[want].problem == CHANGED


def test_a_frame_that_does_not_decode_again_says_so(place) -> None:
    good, bad = Want(media_id(place), 4, BOX), Want(media_id(place), 999, BOX)
    shots = Album(place).shots([bad, good])
    assert shots[bad].problem == UNDECODED and shots[good].problem == ""


def test_a_folder_that_cannot_be_written_is_no_obstacle(place) -> None:
    (place.folder / "evidence").write_text("in the way")
    want = Want(media_id(place), 13, BOX)
    album = Album(place)
    assert album.shots([want])[want].problem == ""
    assert "evidence" in album.not_kept
