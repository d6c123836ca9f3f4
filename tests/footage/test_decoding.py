"""Decoding sound footage: which frames, when, how turned, in which segments."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from forensics.boxes import Letterbox
from forensics.footage.find import find_inputs
from forensics.footage.grab import grab_frames
from forensics.footage.probe import probe_file
from forensics.footage.protocol import Sampling
from forensics.footage.reader import FrameReader, SegmentStart
from forensics.types import Frame, ImageArray, Status
from tests.support.clips import numbered_frame, set_display_matrix, write_clip, write_still
from tests.support.decoding import count_frames, decode, ffprobe, request_for

CONTAINERS = [
    ("clip.mp4", {}),
    ("clip.mov", {}),
    ("clip.mkv", {}),
    ("clip.ts", {}),
    ("clip.flv", {}),
    ("clip.avi", {"codec": "mpeg4"}),
    ("clip.mjpeg.avi", {"codec": "mjpeg"}),
    ("clip.mpg", {"codec": "mpeg2video"}),
    ("clip.h264", {}),
]


@pytest.mark.parametrize(("name", "options"), CONTAINERS)
def test_every_frame_of_a_clip_in_order(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    path = write_clip(tmp_path / name, frames=30, **options)
    seen = decode(path)
    assert seen.numbers == [frame.index for frame in seen.frames] == list(range(30))
    assert seen.end.status is Status.OK, seen.end.reason
    assert seen.end.facts["frames_decoded"] == 30 == count_frames(path)
    assert seen.end.facts["frames_suspect"] == 0
    assert not any(frame.suspect for frame in seen.frames)
    assert seen.frames[0].keyframe


def test_b_frames_come_in_presentation_order(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "b.mp4", frames=30, options={"bf": "3", "tune": "film"})
    seen = decode(path)
    assert seen.numbers == list(range(30))
    times = [frame.time_s for frame in seen.frames]
    assert times == sorted(times)
    assert seen.end.status is Status.OK


def test_times_of_variable_frame_rate(tmp_path: Path) -> None:
    times = [0.04 * n + (0.7 if n > 9 else 0) + 0.013 * (n % 3) for n in range(25)]
    for name in ("vfr.mp4", "vfr.mkv"):
        seen = decode(write_clip(tmp_path / name, frames=25, times_s=times))
        found = [frame.time_s for frame in seen.frames]
        assert found == pytest.approx(times, abs=1e-3)
        assert seen.end.facts["vfr"] is True
        assert seen.end.status is Status.OK, seen.end.reason


def test_start_offset_is_kept(tmp_path: Path) -> None:
    times = [3600 + n / 25 for n in range(20)]
    path = write_clip(tmp_path / "hour.ts", frames=20, times_s=times)
    seen = decode(path)
    frames = ffprobe(path, "-show_entries", "frame=pts_time")["frames"]
    assert [f.time_s for f in seen.frames] == pytest.approx([float(f["pts_time"]) for f in frames])
    assert seen.frames[0].time_s == pytest.approx(3600, abs=2)
    assert seen.info is not None
    assert seen.info.start_time_s == pytest.approx(seen.frames[0].time_s)


def test_no_clock_is_no_time(tmp_path: Path) -> None:
    seen = decode(write_clip(tmp_path / "raw.h264", frames=5))
    assert {(frame.pts, frame.time_s) for frame in seen.frames} == {(None, None)}


def ffmpeg_picture(path: Path, width: int, height: int) -> ImageArray:
    """The first frame as the ffmpeg command shows it, which turns pictures by itself."""
    raw = ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    said = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), *raw], capture_output=True, check=True
    )
    return np.frombuffer(said.stdout, np.uint8).reshape(height, width, 3)


@pytest.mark.parametrize("matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)])
def test_rotation_is_applied(tmp_path: Path, matrix: tuple[int, ...]) -> None:
    clip = write_clip(tmp_path / "r.mp4", frames=3, size=(160, 96))
    seen = decode(set_display_matrix(clip, matrix))
    width, height = (160, 96) if matrix[0] else (96, 160)
    upright = ffmpeg_picture(clip, width, height)
    frame = seen.frames[0]
    assert frame.rgb.shape == upright.shape
    assert np.abs(frame.rgb.astype(int) - upright).mean() < 3
    box = Letterbox(width, height, 64)
    (inner_width, inner_height), (left, top) = box.content, box.offset
    content = frame.view[top : top + inner_height, left : left + inner_width]
    wanted = cv2.resize(upright, box.content, interpolation=cv2.INTER_AREA)
    assert np.abs(content.astype(int) - wanted).mean() < 6
    margins = frame.view.copy()
    margins[top : top + inner_height, left : left + inner_width] = 114
    assert (margins == 114).all()
    assert seen.end.facts["rotation"] % 180 == (90 if matrix[0] == 0 else 0)


def test_a_crooked_rotation_is_no_reason_to_fail(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "r.mp4", frames=3)
    seen = decode(set_display_matrix(clip, (0.7, 0.7, -0.7, 0.7)))
    assert seen.end.status is Status.OK, seen.end.reason
    assert len(seen.frames) == 3


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (320, 2), (2, 240), (162, 122), (1000, 20)])
def test_odd_shapes(tmp_path: Path, size: tuple[int, int]) -> None:
    seen = decode(write_clip(tmp_path / "odd.avi", frames=2, size=size, codec="mpeg4"))
    assert seen.end.status is Status.OK, seen.end.reason
    assert [frame.rgb.shape for frame in seen.frames] == [(size[1], size[0], 3)] * 2


def test_odd_sides_of_stills(tmp_path: Path) -> None:
    path = write_still(tmp_path / "odd.png", 5, size=(161, 121))
    seen = decode(path, stills=True)
    assert seen.frames[0].rgb.shape == (121, 161, 3)
    assert seen.frames[0].number == 5


@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_pictures_are_the_ones_that_pyav_converts(tmp_path: Path, codec: str) -> None:
    path = write_clip(tmp_path / "clip.mkv", frames=4, codec=codec, size=(158, 118))
    seen = decode(path)
    with av.open(str(path)) as container:
        wanted = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert all(np.array_equal(a.rgb, b) for a, b in zip(seen.frames, wanted, strict=True))


@pytest.mark.parametrize("matrix", ["undef", "bt709", "bt2020nc", "YCgCo", "bt2020c", "ICtCp"])
def test_any_colour_matrix_can_be_shown(tmp_path: Path, matrix: str) -> None:
    """One flipped bit in a header can name a matrix that the converter does not know."""
    colours = {"x264-params": f"colormatrix={matrix}"}
    seen = decode(write_clip(tmp_path / "c.mp4", frames=3, options=colours))
    assert seen.numbers == [0, 1, 2]
    assert seen.end.status is Status.OK or "Unsupported" in seen.end.reason


def test_the_view_is_the_letterboxed_picture(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=1, size=(160, 120))
    frame = decode(path, imgsz=160).frames[0]
    assert (frame.view[:20] == 114).all()
    assert (frame.view[140:] == 114).all()
    assert np.abs(frame.view[20:140].astype(int) - frame.rgb).mean() < 3


def test_interlaced_is_said(tmp_path: Path) -> None:
    woven = {"x264-params": "tff=1"}
    assert decode(write_clip(tmp_path / "i.mp4", options=woven)).end.facts["interlaced"] is True
    assert decode(write_clip(tmp_path / "p.mp4")).end.facts["interlaced"] is False


def size_change(tmp_path: Path) -> Path:
    """One raw stream whose pictures grow in the middle, and shrink again."""
    parts = [
        write_clip(tmp_path / f"{number}.h264", frames=10, size=size, first=10 * number)
        for number, size in enumerate([(64, 48), (320, 240), (96, 64)])
    ]
    path = tmp_path / "grows.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_picture_size_changes_in_the_middle(tmp_path: Path) -> None:
    seen = decode(size_change(tmp_path))
    shapes = [frame.rgb.shape[:2] for frame in seen.frames]
    assert shapes == [(48, 64)] * 10 + [(240, 320)] * 10 + [(64, 96)] * 10
    assert seen.numbers == list(range(30))
    assert "picture size changes" in seen.end.reason


def test_growing_pictures_wait_for_the_frames_that_are_held(tmp_path: Path) -> None:
    """The parent holds frames when the ring must grow; it is asked to hand them back."""
    held: list[Frame] = []
    drained = False
    with FrameReader(request_for(size_change(tmp_path)), slots=4, silence_s=20) as reader:
        for event in reader.events():
            if isinstance(event, Frame):
                held.append(event)
                if len(held) == 3:
                    reader.release(held.pop(0))
            elif not isinstance(event, SegmentStart) and type(event).__name__ == "Drain":
                drained = True
                while held:
                    reader.release(held.pop())
            last = event
    assert drained
    assert last.status is Status.OK, last.reason  # type: ignore[union-attr]


@pytest.mark.parametrize("step", [1, 2, 7, 100])
def test_frame_sampling(tmp_path: Path, step: int) -> None:
    seen = decode(write_clip(tmp_path / "c.mp4"), sampling=Sampling(frame_step=step))
    assert seen.numbers == list(range(0, 40, step))
    assert seen.end.facts["frames_decoded"] == 40


@pytest.mark.parametrize("step_s", [0.01, 0.04, 0.1, 0.5, 10])
def test_time_sampling_takes_the_first_frame_of_each_interval(
    tmp_path: Path, step_s: float
) -> None:
    times = [n / 25 + (0.3 if n > 20 else 0) for n in range(40)]
    clip = write_clip(tmp_path / "c.mp4", times_s=times)
    seen = decode(clip, sampling=Sampling(time_step_s=step_s))
    taken: dict[int, int] = {}
    for number, time in enumerate(times):
        taken.setdefault(int(time / step_s + 1e-6), number)
    assert seen.numbers == list(taken.values())


def test_time_sampling_does_not_depend_on_the_start(tmp_path: Path) -> None:
    picks = []
    for offset in (0, 3600):
        times = [offset + n / 25 for n in range(30)]
        clip = write_clip(tmp_path / f"{offset}.ts", frames=30, times_s=times)
        picks.append(decode(clip, sampling=Sampling(time_step_s=0.2)).numbers)
    assert picks[0] == picks[1] == list(range(0, 30, 5))


def test_time_sampling_without_a_clock_takes_every_frame_and_says_so(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "raw.h264", frames=6)
    seen = decode(clip, sampling=Sampling(time_step_s=10))
    assert seen.numbers == list(range(6))
    assert seen.end.status is Status.OK
    said = "6 of its frames have no time: all of them are processed, not one each 10 s"
    assert seen.end.reason == said
    timed = write_clip(tmp_path / "c.mp4", frames=6)
    assert decode(timed, sampling=Sampling(time_step_s=10)).end.reason == ""
    for sampling in (Sampling(), Sampling(frame_step=2), Sampling(keyframes_only=True)):
        assert decode(clip, sampling=sampling).end.reason == ""


def test_segments_are_cut_at_keyframes(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", frames=100, gop=10)
    seen = decode(clip, segment_s=0.9)
    assert [(s.number, s.index) for s in seen.segments] == [(0, 0), (1, 30), (2, 60), (3, 90)]
    keys = {frame.index for frame in seen.frames if frame.keyframe}
    assert {s.index for s in seen.segments} <= keys


def test_segments_without_keyframes_are_cut_at_last(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", frames=100, gop=1000)
    seen = decode(clip, segment_s=0.5)
    assert [s.index for s in seen.segments] == [0, 50]


def test_going_on_at_a_segment_gives_the_same_rest(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", frames=60)
    sampling = Sampling(time_step_s=0.11)
    whole = decode(clip, segment_s=0.4, sampling=sampling)
    rest = decode(clip, segment_s=0.4, sampling=sampling, first_segment=2)
    start = next(s.index for s in whole.segments if s.number == 2)
    assert rest.segments == whole.segments
    assert rest.numbers == [n for n in whole.numbers if n >= start]
    assert rest.end.facts == whole.end.facts


def test_decoding_is_repeatable(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", frames=20)
    first, second = decode(clip), decode(clip)
    for a, b in zip(first.frames, second.frames, strict=True):
        assert np.array_equal(a.rgb, b.rgb)
        assert np.array_equal(a.view, b.view)
    assert first.end == second.end


def test_frames_are_fetched_again_by_index(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", frames=30)
    whole = decode(clip)
    for index, rgb in grab_frames(clip, {3, 17, 29, 40}):
        assert np.array_equal(rgb, whole.frames[index].rgb)
    assert [index for index, _ in grab_frames(clip, {3, 17, 40})] == [3, 17]
    still = write_still(tmp_path / "s.png", 9)
    assert [index for index, _ in grab_frames(still, {0})] == [0]


def test_a_second_video_stream_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            for stream in streams:
                frame = numbered_frame(number, 64, 48)
                frame.pts = number
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    seen = decode(path)
    assert seen.end.status is Status.PARTIAL
    assert "1 more video streams" in seen.end.reason


def test_a_header_probe_says_nothing_of_what_it_did_not_read(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", frames=100)
    (file,) = find_inputs([tmp_path], recursive=False)
    facts = probe_file(file)
    assert (facts["status"], facts["reason"]) == ("ok", "")
    assert facts["frames_header"] == 100
    assert "frames_decoded" not in facts
