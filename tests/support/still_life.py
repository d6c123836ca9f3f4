"""Footage in which little happens: camera noise, and now and then a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from forensics.types import ImageArray
from tests.support.scans import ROOT

SAMPLE = ROOT / "datasets" / "sample" / "wall-cup.mp4"
BASE = Fraction(1, 90_000)


def write_luma(path: Path, frames: Iterable[ImageArray], rate: int = 25, gop: int = 10) -> Path:
    """Write grey pictures, uint8 (height, width), as H.264 that keeps most of their noise."""
    options = {"threads": "1", "preset": "ultrafast", "bf": "0", "crf": "10"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = BASE
        for number, luma in enumerate(frames):
            if not number:
                stream.height, stream.width = luma.shape
            frame = av.VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(Fraction(number, rate) / BASE), BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def noisy(luma: ImageArray, rng: np.random.Generator, sigma: float = 3.0) -> ImageArray:
    """The picture with Gaussian camera noise, each pixel on its own."""
    seen = luma + rng.normal(0, sigma, luma.shape)
    return np.asarray(np.clip(np.round(seen), 0, 255), np.uint8)


def real_pictures(n: int) -> list[ImageArray]:
    """The first `n` pictures of recorded footage (a hand and a cup), grey, 320 x 240."""
    with av.open(str(SAMPLE)) as container:
        decoded = container.decode(video=0)
        return [
            frame.reformat(320, 240, "gray").to_ndarray()
            for frame, _ in zip(decoded, range(n), strict=False)
        ]


def halting_clip(path: Path, pictures: int = 20, stops: int = 5) -> Path:
    """Recorded footage that stands still for `stops` frames at each picture, but for noise."""
    rng = np.random.default_rng(20261)

    def frames() -> Iterator[ImageArray]:
        for luma in real_pictures(pictures):
            for _ in range(stops):
                yield noisy(luma, rng)

    return write_luma(path, frames())
