"""A 1080p H.264 clip for measuring, made from real gun-free footage: decoded, scaled, encoded."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import Interpolation

FPS = 25


def make_clip(source: Path, target: Path, n_frames: int, size: tuple[int, int]) -> Path:
    """Write `n_frames` of `source` (repeated as needed) as H.264 at `size`, 25 frames/s."""
    if target.exists():
        return target
    temporary = target.with_suffix(".part.mp4")
    with av.open(str(temporary), "w") as output:
        stream = output.add_stream("libx264", rate=FPS, options={"crf": "23", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
        for number, frame in enumerate(_repeated(source, n_frames)):
            scaled = frame.reformat(
                size[0], size[1], "yuv420p", interpolation=Interpolation.BICUBIC
            )
            scaled.pts = number
            scaled.time_base = Fraction(1, FPS)
            output.mux(stream.encode(scaled))
        output.mux(stream.encode(None))
    temporary.rename(target)
    return target


def _repeated(source: Path, n_frames: int):  # type: ignore[no-untyped-def]
    count = 0
    while True:
        with av.open(str(source)) as container:
            for frame in container.decode(video=0):
                if count == n_frames:
                    return
                count += 1
                yield frame
