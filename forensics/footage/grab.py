"""Fetch single frames again, for pictures and crops: same decoder, same child, same indices."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from forensics.footage.pictures import is_still
from forensics.footage.protocol import DecodeRequest, Sampling
from forensics.footage.reader import DEFAULT_MAX_PIXELS, Ended, FrameReader, Opened, StillDone
from forensics.types import Frame, ImageArray, Status

VIEW_IMGSZ = 32
SLOTS = 4


def grab_frames(path: Path, indices: Collection[int]) -> Iterator[tuple[int, ImageArray]]:
    """Yield (frame index, uint8 RGB (height, width, 3)) of the wanted frames, in order.

    Frames that cannot be decoded again are left out: the caller sees which are missing. A still
    image has the one frame 0.
    """
    wanted = tuple(sorted(set(indices)))
    if not wanted:
        return
    stills = is_still(path)
    with FrameReader(_request((path,), stills=stills, wanted=wanted), slots=SLOTS) as reader:
        for event in reader.events():
            if isinstance(event, Frame):
                rgb = event.rgb()
                reader.release(event)
                yield event.index, rgb


def grab_stills(paths: Sequence[Path]) -> Iterator[tuple[int, ImageArray]]:
    """Yield (place in `paths`, uint8 RGB (height, width, 3)) of still images, in order.

    One child decodes them all; what kills it is left out, as is what cannot be decoded.
    """
    first = 0
    while first < len(paths):
        seen = -1
        request = _request(tuple(paths[first:]), stills=True, wanted=None)
        with FrameReader(request, slots=SLOTS) as reader:
            for event in reader.events():
                if isinstance(event, Opened | StillDone):
                    seen = event.item
                elif isinstance(event, Frame):
                    seen = event.index
                    rgb = event.rgb()
                    reader.release(event)
                    yield first + seen, rgb
                elif isinstance(event, Ended) and event.status is Status.OK:
                    return
        first += max(seen, 0) + 1


def _request(
    paths: tuple[Path, ...], *, stills: bool, wanted: tuple[int, ...] | None
) -> DecodeRequest:
    return DecodeRequest(
        paths=tuple(map(str, paths)),
        stills=stills,
        imgsz=VIEW_IMGSZ,
        max_pixels=DEFAULT_MAX_PIXELS,
        segment_s=3600.0,
        sampling=Sampling(),
        wanted=wanted,
        views=False,
    )
