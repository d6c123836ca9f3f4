"""Clips for measuring: real gun-free footage, repeated as needed, scaled and encoded as H.264."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import Interpolation

FPS = 25


def make_clip(source: Path, target: Path, n_frames: int, size: tuple[int, int]) -> Path:
    """Write `n_frames` of `source` as H.264 at `size` (width, height), 25 frames/s, if not there.

    Settings that cameras use: a keyframe each 2 s, quality as for viewing.
    """
    if target.exists():
        return target
    temporary = target.with_suffix(".part.mp4")
    options = {"crf": "23", "g": "50", "preset": "veryfast"}
    with av.open(str(temporary), "w") as output:
        stream: Any = output.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
        for number, frame in enumerate(_repeated(source, n_frames)):
            scaled = frame.reformat(*size, "yuv420p", interpolation=Interpolation.BICUBIC)
            scaled.pts, scaled.time_base = number, Fraction(1, FPS)
            output.mux(stream.encode(scaled))
        output.mux(stream.encode(None))
    temporary.rename(target)
    return target


def pictures(clip: Path) -> Iterator[Any]:
    """The decoded frames of a clip, one thread, nothing else done with them."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        yield from container.decode(stream)


def _repeated(source: Path, n_frames: int) -> Iterator[Any]:
    count = 0
    while True:
        for frame in pictures(source):
            if count == n_frames:
                return
            count += 1
            yield frame
