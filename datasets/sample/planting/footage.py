"""Read stretches of the source clips and write the finished ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

RATES = {"vtest.avi": Fraction(10), "cup.mp4": Fraction(26777, 1000), "box.mp4": Fraction(30)}
"""Pictures a second. box.mp4 has its timestamps in the wrong order (its pictures decode in
order)."""


@dataclass(frozen=True)
class Cut:
    """A stretch of a source clip: frames start to stop (exclusive), perhaps a magnified part of the
    picture."""

    source: str
    start: int
    stop: int
    size: tuple[int, int]
    view: tuple[int, int, int, int] | None = None


def read(folder: Path, cut: Cut) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Seconds since the stretch's first frame and the RGB picture, frame by frame."""
    rate = RATES[cut.source]
    with av.open(str(folder / cut.source)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= cut.stop:
                return
            if index >= cut.start:
                yield (index - cut.start) / rate, _view(frame.to_ndarray(format="rgb24"), cut)


def _view(picture: np.ndarray, cut: Cut) -> np.ndarray:
    """The part of the picture that the cut shows, at the cut's size."""
    if cut.view is not None:
        x, y, w, h = cut.view
        picture = picture[y : y + h, x : x + w]
    if (picture.shape[1], picture.shape[0]) != cut.size:
        picture = cv2.resize(picture, cut.size, interpolation=cv2.INTER_CUBIC)
    return picture


def write(path: Path, frames: list[tuple[Fraction, np.ndarray]], crf: int) -> None:
    """H.264, yuv420p, index first; the given times are kept. One thread: the same bytes every
    time."""
    base = Fraction(1, 90000)
    height, width = frames[0][1].shape[:2]
    rate = round(1 / (frames[1][0] - frames[0][0]))
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = base
        stream.time_base = base
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(crf), "preset": "slower", "g": "50"}
        for seconds, picture in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = round(seconds / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def timestamps(path: Path) -> list[tuple[int, Fraction]]:
    """Presentation timestamps and times of every frame, in presentation order, read back from the
    file."""
    with av.open(str(path)) as container:
        found = [(frame.pts, frame.pts * frame.time_base) for frame in container.decode(video=0)]
    if sorted(found) != found:
        raise ValueError(f"{path.name}: frames came out of order")
    return found
