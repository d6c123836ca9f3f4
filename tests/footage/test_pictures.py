"""Files named like pictures: a video among them is a video, and further pictures are said."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from forensics.footage.find import find_inputs
from forensics.footage.grab import grab_frames
from forensics.footage.pictures import further_pictures, is_still
from forensics.runlog.reader import open_run
from forensics.types import ImageArray, Status
from tests.scan.test_statuses import check_books
from tests.support.clips import numbered_luma, write_clip, write_still
from tests.support.decoding import decode
from tests.support.scans import run_small_scan


def pages(n: int) -> list[ImageArray]:
    return [np.stack([numbered_luma(k, 160, 120)] * 3, axis=2) for k in range(n)]


def tiff(n: int) -> bytes:
    done, data = cv2.imencodemulti(".tif", pages(n))
    assert done
    return data.tobytes()


def reduce_page(data: bytes) -> bytes:
    """Mark the second page of a little-endian TIFF file as a thumbnail."""
    mutable = bytearray(data)
    first = struct.unpack_from("<I", mutable, 4)[0]
    n_entries = struct.unpack_from("<H", mutable, first)[0]
    second = struct.unpack_from("<I", mutable, first + 2 + 12 * n_entries)[0]
    assert struct.unpack_from("<H", mutable, second + 2)[0] >= 254
    struct.pack_into("<HHII", mutable, second + 2, 254, 4, 1, 1)
    return bytes(mutable)


def big_tiff(n: int) -> bytes:
    """Directories alone, each with one entry."""
    data = b"MM\0+" + struct.pack(">HHQ", 8, 0, 16)
    for number in range(n):
        at = 16 + 36 * number
        entry = struct.pack(">HHQQ", 256, 4, 1, 160 << 32)
        data += struct.pack(">Q", 1) + entry + struct.pack(">Q", at + 36 if number < n - 1 else 0)
    return data


def webp(n: int) -> bytes:
    """An animated WebP picture of `n` frames."""
    picture = cv2.imencode(".webp", pages(1)[0])[1].tobytes()[12:]

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    size = struct.pack("<I", 159)[:3] + struct.pack("<I", 119)[:3]
    frame = chunk(b"ANMF", bytes(6) + size + b"\x28\0\0\0" + picture)
    body = chunk(b"VP8X", b"\x02\0\0\0" + size) + chunk(b"ANIM", bytes(6)) + frame * n
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def write_apng(path: Path, n: int) -> Path:
    with av.open(str(path), "w", format="apng") as container:
        stream = container.add_stream("apng", rate=5)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "rgb24"
        for number, picture in enumerate(pages(n)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("made", "options"),
    [
        ("c.mp4", {}),
        ("c.mkv", {}),
        ("c.ts", {}),
        ("c.avi", {"codec": "mpeg4"}),
        ("c.flv", {}),
        ("c.wmv", {"codec": "wmv2"}),
        ("c.mpg", {"codec": "mpeg2video"}),
        ("c.h264", {}),
    ],
)
def test_a_video_named_like_a_picture_is_a_video(
    tmp_path: Path, made: str, options: dict[str, str]
) -> None:
    clip = write_clip(tmp_path / made, frames=30, **options)
    folder = tmp_path / "pictures"
    folder.mkdir()
    path = clip.rename(folder / "holiday.JPG")
    (file,) = find_inputs([folder], recursive=False)
    assert not file.is_still
    seen = decode(path)
    assert (seen.numbers, seen.end.status) == (list(range(30)), Status.OK)
    assert [index for index, _ in grab_frames(path, {0, 7, 29})] == [0, 7, 29]


def test_every_frame_of_it_is_in_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_clip(tmp_path / "c.mp4", frames=30).rename(folder / "holiday.jpg")
    write_still(folder / "beach.jpg", 3)
    write_apng(folder / "moves.png", 4)
    result = run_small_scan(folder, tmp_path / "run", detector_only=True)
    found = {r["path"]: (r["kind"], r["frames_decoded"], r["status"]) for r in result.media}
    assert found == {
        "beach.jpg": ("still", 1, "ok"),
        "holiday.jpg": ("video", 30, "ok"),
        "moves.png": ("video", 4, "ok"),
    }
    assert open_run(tmp_path / "run").frames.num_rows == 35
    check_books(tmp_path / "run")


def test_every_picture_of_an_animated_png(tmp_path: Path) -> None:
    path = write_apng(tmp_path / "moves.png", 5)
    assert not is_still(path)
    seen = decode(path)
    assert (seen.numbers, seen.end.status) == (list(range(5)), Status.OK)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_one_picture_is_a_still(tmp_path: Path, suffix: str) -> None:
    path = write_still(tmp_path / f"p{suffix}", 3)
    assert is_still(path)
    assert further_pictures(str(path)) == (0, "")
    assert not is_still(path.rename(tmp_path / "p.mp4"))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n and no more", b"II*\0"])
def test_a_broken_picture_is_a_still(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(content)
    assert is_still(path)
    assert further_pictures(str(path)) == (0, "")


@pytest.mark.parametrize("name", ["three.tif", "three.TIFF"])
def test_pages_that_are_not_looked_at_make_a_picture_partial(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / name).write_bytes(tiff(3))
    (folder / "one.tif").write_bytes(tiff(1))
    (folder / "preview.tif").write_bytes(reduce_page(tiff(2)))
    result = run_small_scan(folder, tmp_path / "run", detector_only=True)
    found = {row["path"]: row for row in result.media}
    assert found["one.tif"]["status"] == found["preview.tif"]["status"] == "ok"
    row = found[name]
    assert (row["status"], row["frames_suspect"]) == ("partial", 0)
    assert row["reason"] == "it holds 3 pages; only its first one is looked at"
    coverage = [c for c in open_run(tmp_path / "run").coverage.to_pylist() if c["path"] == name]
    assert [(c["state"], c["n_frames"]) for c in coverage] == [("scanned", 1), ("not_reached", 2)]
    check_books(tmp_path / "run")


def test_pages_of_a_picture_named_like_a_video(tmp_path: Path) -> None:
    path = tmp_path / "fax.bin"
    path.write_bytes(tiff(3))
    seen = decode(path)
    assert (len(seen.frames), seen.end.status) == (1, Status.PARTIAL)
    assert "it holds 3 pages" in seen.end.reason


@pytest.mark.parametrize(
    ("content", "n"),
    [(tiff(12), 11), (big_tiff(4), 3), (big_tiff(1), 0), (webp(3), 2), (webp(1), 0)],
    ids=["tiff", "big tiff", "one", "webp", "one webp"],
)
def test_further_pictures_are_counted(tmp_path: Path, content: bytes, n: int) -> None:
    path = tmp_path / "p"
    path.write_bytes(content)
    assert further_pictures(str(path))[0] == n


def test_a_ring_of_pages_has_an_end(tmp_path: Path) -> None:
    data = bytearray(tiff(2))
    first = struct.unpack_from("<I", data, 4)[0]
    n_entries = struct.unpack_from("<H", data, first)[0]
    second = struct.unpack_from("<I", data, first + 2 + 12 * n_entries)[0]
    n_entries = struct.unpack_from("<H", data, second)[0]
    struct.pack_into("<I", data, second + 2 + 12 * n_entries, first)
    (tmp_path / "p.tif").write_bytes(data)
    assert further_pictures(str(tmp_path / "p.tif"))[0] == 1


def test_an_animated_webp_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "p.webp"
    path.write_bytes(webp(3))
    seen = decode(path, stills=True)
    (still,) = seen.stills
    assert still.status is (Status.PARTIAL if seen.frames else Status.UNREADABLE)
    assert "it holds 3 pictures" in still.reason


def mpf(data: bytes) -> bytes:
    """A JPEG picture that lists others."""
    content = b"MPF\0" + bytes(20)
    return data[:2] + b"\xff\xe2" + struct.pack(">H", 2 + len(content)) + content + data[2:]


def test_what_follows_a_jpeg_picture(tmp_path: Path) -> None:
    one = write_still(tmp_path / "1.jpg", 1).read_bytes()
    clip = write_clip(tmp_path / "c.mp4", frames=5).read_bytes()
    cases: list[tuple[bytes, Any]] = [
        (one + b"SEFT" * 10, (0, "")),
        (one + bytes(64), (0, "")),
        (mpf(one) + one, (0, "")),
        (one + one, (None, f"another picture follows at byte {len(one)} and is not scanned")),
        (one + clip, (None, f"a video follows at byte {len(one)} and is not scanned")),
        (
            mpf(one) + one + clip,
            (None, f"a video follows at byte {2 * len(one) + 28} and is not scanned"),
        ),
    ]
    path = tmp_path / "p.jpg"
    for content, said in cases:
        path.write_bytes(content)
        assert is_still(path)
        assert further_pictures(str(path)) == said
        (still,) = decode(path, stills=True).stills
        assert (still.status is Status.PARTIAL) == bool(said[1])
        assert said[1] in still.reason
