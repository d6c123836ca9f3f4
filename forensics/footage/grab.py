"""Fetch single frames again, for pictures in a report: same decoder, same child, same indices."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from forensics.footage.protocol import DecodeRequest, Sampling
from forensics.footage.reader import DEFAULT_MAX_PIXELS, FrameReader
from forensics.types import STILL_SUFFIXES, Frame, ImageArray

VIEW_IMGSZ = 32


def grab_frames(path: Path, indices: Collection[int]) -> Iterator[tuple[int, ImageArray]]:
    """Yield (frame index, uint8 RGB (height, width, 3)) of the wanted frames, in order.

    Frames that cannot be decoded again are left out: the caller sees which are missing. A still
    image has the one frame 0.
    """
    wanted = tuple(sorted(set(indices)))
    if not wanted:
        return
    request = DecodeRequest(
        paths=(str(path),),
        stills=path.suffix.lower() in STILL_SUFFIXES,
        imgsz=VIEW_IMGSZ,
        max_pixels=DEFAULT_MAX_PIXELS,
        segment_s=3600.0,
        sampling=Sampling(),
        wanted=wanted,
    )
    with FrameReader(request, slots=4) as reader:
        for event in reader.events():
            if isinstance(event, Frame):
                rgb = event.rgb()
                reader.release(event)
                yield event.index, rgb
