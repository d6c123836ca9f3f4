"""What is this file? Header facts, and on request the facts that only decoding tells."""

from __future__ import annotations

from typing import Any

from forensics.footage.protocol import DecodeRequest, Sampling
from forensics.footage.reader import DEFAULT_MAX_PIXELS, Ended, FrameReader, Opened, StillDone
from forensics.types import Frame, InputFile, Status, StreamInfo

PROBE_IMGSZ = 32


def probe_file(file: InputFile, *, count: bool = False) -> dict[str, Any]:
    """Probe one file in the decoding child.

    Header claims end in `_header`; with `count` every frame is decoded, so that frames_decoded,
    status and reason are facts.
    """
    facts: dict[str, Any] = {"path": file.relative, "size_bytes": file.size_bytes}
    if file.refused:
        return facts | {"status": str(Status.REFUSED), "reason": file.refused}
    if file.size_bytes == 0:
        return facts | {"status": str(Status.UNREADABLE), "reason": "the file is empty"}
    request = DecodeRequest(
        paths=(str(file.path),),
        stills=file.is_still,
        imgsz=PROBE_IMGSZ,
        max_pixels=DEFAULT_MAX_PIXELS,
        segment_s=60.0,
        sampling=Sampling(),
        first_segment=1 << 60 if not file.is_still else 0,  # decode, but send no picture
        wanted=None if count or file.is_still else (),
    )
    with FrameReader(request, slots=3) as reader:
        for event in reader.events():
            if isinstance(event, Opened):
                facts |= _header(event.info)
            elif isinstance(event, Frame):
                reader.release(event)
            elif isinstance(event, StillDone | Ended):
                if "status" not in facts:
                    facts |= {"status": str(event.status), "reason": event.reason}
                if isinstance(event, Ended) and count:
                    facts |= {k: v for k, v in event.facts.items() if not k.endswith("_pts")}
    return facts


def _header(info: StreamInfo) -> dict[str, Any]:
    return {
        "container": info.container,
        "codec": info.codec,
        "width": info.width,
        "height": info.height,
        "pixel_format": info.pixel_format,
        "time_base": f"{info.time_base.numerator}/{info.time_base.denominator}",
        "frame_rate_header": info.frame_rate_header,
        "frames_header": info.frames_header,
        "duration_s": info.duration_s,
        "start_time_s": info.start_time_s,
    }
