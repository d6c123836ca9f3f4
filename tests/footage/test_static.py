"""The static-scene gate: what it passes over, and what it must not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from forensics.footage import static
from forensics.footage.protocol import DecodeRequest, Sampling, StaticRule
from forensics.footage.reader import FrameReader
from forensics.footage.static import LIGHT_LIMIT, change
from forensics.types import Frame, StaticFrame
from tests.support.clips import damage, write_clip
from tests.support.data import FOOTAGE, needs_footage
from tests.support.decoding import request_for
from tests.support.still_life import halting_clip, noisy, real_pictures, write_luma

RULE = StaticRule()
SIZE = (240, 320)


def looked_at(path: Path, rule: StaticRule = RULE, **changes: object) -> tuple[list[int], int]:
    """(indices of the frames processed, number of frames passed over)."""
    wanted = request_for(path, sampling=Sampling(static=rule), **changes)
    processed, passed = [], 0
    with FrameReader(wanted, slots=5) as reader:
        for event in reader.events():
            if isinstance(event, Frame):
                processed.append(event.index)
                reader.release(event)
            passed += isinstance(event, StaticFrame)
    return processed, passed


def grey(level: float = 110.0) -> np.ndarray:
    ramp = np.linspace(-20, 20, SIZE[1])[None] + np.zeros((SIZE[0], 1))
    return np.asarray(level + ramp)


def test_change_is_that_of_the_worst_cell_without_the_light_of_all() -> None:
    before = np.full((9, 16), 100, np.uint8)
    assert change(before, before) == 0
    assert change(before, before + 7) == 0
    after = before + 7
    after[4, 4] -= 12
    assert change(before, after) == 12
    assert change(before, before + 10) == 0
    assert change(before, before + int(LIGHT_LIMIT) + 1) == float("inf")
    assert change(before + 100, before) == float("inf"), "uint8 must not wrap"


def test_cells_are_means_of_the_picture() -> None:
    rng = np.random.default_rng(1)
    luma = rng.integers(16, 235, (288, 512)).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(luma, format="gray")
    cells = static._cells(VideoReformatter(), picture, 512, 288)
    assert cells.shape == (18, 32)
    means = luma.reshape(18, 16, 32, 16).mean(axis=(1, 3))
    assert np.abs(cells - means).max() < 5, "means of 256 pixels of noise with sigma 63"
    assert cells.std() < 10
    tiny = av.VideoFrame.from_ndarray(luma[:8, :10].copy(), format="gray")
    assert static._cells(VideoReformatter(), tiny, 10, 8).shape == (1, 1)


def test_noise_and_slow_light_are_static_until_the_refresh(tmp_path: Path) -> None:
    """Light rises by 0.15 grey levels a frame: 7.5 between two refreshes, 22 in all."""
    rng = np.random.default_rng(2)
    frames = [noisy(grey(100 + 0.15 * n), rng, sigma=5.0) for n in range(150)]
    clip = write_luma(tmp_path / "c.mp4", frames)
    assert looked_at(clip) == ([0, 50, 100], 147)
    assert looked_at(clip, StaticRule(refresh_s=1.0))[0] == [0, 25, 50, 75, 100, 125]
    assert looked_at(clip, replace(RULE, threshold=0.01))[1] < 75


def test_a_small_thing_that_appears_is_seen_at_once_and_when_it_goes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frames = []
    for n in range(45):
        luma = grey()
        if 20 <= n < 30:
            luma[100:116, 200:216] -= 12  # 16 pixels, little contrast
        frames.append(noisy(luma, rng))
    assert looked_at(write_luma(tmp_path / "c.mp4", frames))[0] == [0, 20, 30]


def test_slow_movement_adds_up(tmp_path: Path) -> None:
    """A quarter of a pixel a frame is below the threshold from frame to frame, not in the long."""
    frames = []
    for n in range(100):
        luma = grey()
        luma[100:140, 100 + n // 4 : 140 + n // 4] += 60
        frames.append(np.asarray(luma, np.uint8))
    processed, _ = looked_at(write_luma(tmp_path / "c.mp4", frames), StaticRule(refresh_s=60))
    assert 5 < len(processed) < 60
    assert max(np.diff(processed)) < 30


def test_a_light_switch_is_processed(tmp_path: Path) -> None:
    frames = [np.asarray(grey(60 if n < 8 else 160), np.uint8) for n in range(16)]
    assert looked_at(write_luma(tmp_path / "c.mp4", frames))[0] == [0, 8]


def test_each_segment_starts_anew_so_that_none_depends_on_the_one_before(tmp_path: Path) -> None:
    clip = halting_clip(tmp_path / "c.mp4")
    whole, _ = looked_at(clip, segment_s=0.4)
    assert set(range(0, 100, 10)) <= set(whole)
    rest, _ = looked_at(clip, segment_s=0.4, first_segment=4)
    assert rest == [index for index in whole if index >= 40]


def test_sampling_comes_first_and_the_gate_looks_at_what_it_left(tmp_path: Path) -> None:
    clip = halting_clip(tmp_path / "c.mp4", stops=6)
    sampling = Sampling(frame_step=3, static=RULE)
    indices: dict[type, list[int]] = {Frame: [], StaticFrame: []}
    with FrameReader(request_for(clip, sampling=sampling), slots=5) as reader:
        for event in reader.events():
            if isinstance(event, Frame | StaticFrame):
                indices[type(event)].append(event.index)
            if isinstance(event, Frame):
                reader.release(event)
    assert sorted(indices[Frame] + indices[StaticFrame]) == list(range(0, 120, 3))
    assert indices[Frame][0] == 0
    assert min(len(indices[Frame]), len(indices[StaticFrame])) > 5


def test_damaged_footage_is_never_passed_over(tmp_path: Path) -> None:
    frames = [noisy(real_pictures(1)[0], np.random.default_rng(n)) for n in range(60)]
    clip = write_luma(tmp_path / "c.mkv", frames, gop=30)
    sound = looked_at(clip)[0]
    assert len(sound) == 2
    suspect, static_ones = set(), set()
    with FrameReader(
        request_for(damage(clip, 0.3, 0.301), sampling=Sampling(static=RULE)), slots=5
    ) as reader:
        for event in reader.events():
            if isinstance(event, Frame):
                suspect |= {event.index} if event.suspect else set()
                reader.release(event)
            elif isinstance(event, StaticFrame):
                static_ones.add(event.index)
    assert suspect
    assert static_ones
    assert not suspect & static_ones


def test_without_a_clock_nothing_is_static(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.h264", frames=8)
    assert looked_at(clip, StaticRule(threshold=255.0)) == (list(range(8)), 0)


def test_the_rule_travels_to_the_child_and_back() -> None:
    for sampling in (Sampling(static=StaticRule(2.5, 0.5)), Sampling(3), Sampling(1, None, True)):
        request = request_for(Path("x"), sampling=sampling)
        assert DecodeRequest.from_message(json.loads(request.to_line())) == request


@needs_footage
@pytest.mark.parametrize("name", ["nofi001", "nofi003"])
def test_recorded_cctv_loses_its_repeated_frames_and_keeps_its_movement(name: str) -> None:
    """These recorders wrote each picture twice; what moves is processed all the same."""
    clip = FOOTAGE / "ordinary" / f"{name}.mp4"
    processed, passed = looked_at(clip)
    assert 0.3 < passed / (passed + len(processed)) < 0.6
    assert max(np.diff(processed)) <= 6
