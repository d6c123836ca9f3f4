"""Make footage: clips of numbered frames in many containers, sound and damaged.

Every frame carries its number as a row of bright and dark blocks, so that a test can read from the
picture which frame it really is.
"""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from forensics.types import ImageArray

BITS = 10
BLOCK_ROWS = 24
CLIP_TIME_BASE = Fraction(1, 90_000)


def numbered_luma(number: int, width: int, height: int) -> ImageArray:
    """A grey picture, uint8 (height, width), with `number` in blocks along its top."""
    ramp = np.linspace(60, 160, width, dtype=np.float32)[None] + np.zeros((height, 1), np.float32)
    luma = ramp.astype(np.uint8)
    luma[height // 2 :, (7 * number) % width :] = 90  # something moves
    edges = np.linspace(0, width, BITS + 1).astype(int)
    for bit in range(BITS):
        luma[:BLOCK_ROWS, edges[bit] : edges[bit + 1]] = 220 if number >> bit & 1 else 30
    return luma


def read_number(rgb: ImageArray) -> int:
    """The number in the blocks along the top of a picture, uint8 (height, width, 3)."""
    edges = np.linspace(0, rgb.shape[1], BITS + 1).astype(int)
    rows = rgb[4 : BLOCK_ROWS - 4, :, 1]
    means = [rows[:, low + 2 : high - 2].mean() for low, high in pairwise(edges)]
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 125)


def numbered_frame(number: int, width: int, height: int) -> Any:
    """A numbered picture as a yuv420p frame without a time."""
    luma = numbered_luma(number, width, height)
    frame = av.VideoFrame.from_ndarray(np.stack([luma] * 3, axis=2), format="rgb24")
    return frame.reformat(format="yuv420p")


def write_clip(
    path: Path,
    *,
    frames: int = 40,
    size: tuple[int, int] = (160, 120),
    rate: int = 25,
    gop: int = 10,
    codec: str = "libx264",
    times_s: Sequence[float] | None = None,
    first: int = 0,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
) -> Path:
    """Write `frames` numbered pictures, from number `first` on; `times_s` overrides the rate.

    Encoded by one thread, so that the same arguments give the same bytes.
    """
    settings = {"threads": "1", **(options or {})}
    if codec == "libx264":
        settings = {"preset": "ultrafast", "tune": "fastdecode", "bf": "0", **settings}
    with av.open(str(path), "w", options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=settings)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = gop
        if codec == "libx264":
            stream.codec_context.time_base = CLIP_TIME_BASE
        base = stream.codec_context.time_base or Fraction(1, rate)
        for number in range(frames):
            frame = numbered_frame(first + number, *size)
            seconds = Fraction(number, rate) if times_s is None else Fraction(times_s[number])
            frame.time_base = base
            frame.pts = round(seconds / base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_still(path: Path, number: int, size: tuple[int, int] = (160, 120)) -> Path:
    """Write one numbered picture; the suffix says in which format."""
    codec = {".jpg": "mjpeg", ".png": "png", ".bmp": "bmp"}[path.suffix]
    frame = numbered_frame(number, *size)
    wanted = "yuvj420p" if codec == "mjpeg" else "rgb24" if codec == "png" else "bgr24"
    context = av.CodecContext.create(codec, "w")
    context.width, context.height = size
    context.pix_fmt = wanted
    context.time_base = Fraction(1, 25)
    picture = frame.reformat(format=wanted)
    picture.pts = 0
    packets = [*context.encode(picture), *context.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))
    return path


def write_stills_with_a_copy(folder: Path) -> Path:
    """1.png, 2.png with the same content, and 3.png, in a new folder."""
    folder.mkdir()
    write_still(folder / "1.png", 1)
    shutil.copy(folder / "1.png", folder / "2.png")
    write_still(folder / "3.png", 3)
    return folder


def write_tone(path: Path) -> Path:
    """Write a file that holds sound and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for number in range(20):
            samples = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def set_display_matrix(path: Path, matrix: Sequence[float]) -> Path:
    """Write a 2 x 2 display matrix (a, b, c, d) into the first track header of an MP4 file."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(value * 65536) for value in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def truncate(path: Path, keep: float) -> Path:
    """Cut a file off after the fraction `keep` of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def damage(path: Path, low: float, high: float, seed: int = 0) -> Path:
    """Overwrite the bytes between two fractions of a file with noise."""
    data = bytearray(path.read_bytes())
    start, stop = int(len(data) * low), int(len(data) * high)
    data[start:stop] = random.Random(seed).randbytes(stop - start)
    path.write_bytes(data)
    return path


def mutate(data: bytes, seed: int) -> bytes:
    """One of eight kinds of damage, chosen and placed by `seed`."""
    dice = random.Random(seed)
    mutant = bytearray(data)
    start = dice.randrange(len(mutant))
    size = dice.randrange(1, max(2, len(mutant) // 10))
    piece = bytes(mutant[start : start + size])
    match seed % 8:
        case 0:
            del mutant[start:]
        case 1:
            for _ in range(20):
                mutant[dice.randrange(len(mutant))] ^= 1 << dice.randrange(8)
        case 2:
            mutant[start : start + size] = bytes(len(piece))
        case 3:
            del mutant[start : start + size]
        case 4:
            mutant[start:start] = piece
        case 5:
            mutant[start:start] = dice.randbytes(size)
        case 6:
            header = dice.randrange(min(256, len(mutant)))
            mutant[header : header + 8] = dice.randbytes(8)
        case 7:
            mutant += dice.randbytes(size)
    return bytes(mutant)
