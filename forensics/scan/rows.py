"""Media and coverage rows."""

from __future__ import annotations

import os
from typing import Any

from forensics.runlog import schemas
from forensics.types import CoverageState, InputFile, StreamInfo


def media_row(file: InputFile, media_id: str | None, **facts: Any) -> dict[str, Any]:
    """A media row with every column; those that nobody could find out are None."""
    row: dict[str, Any] = dict.fromkeys(schemas.MEDIA.names)
    row |= {
        "media_id": media_id,
        "path": file.relative,
        "path_bytes": _odd_bytes(file),
        "camera_id": file.camera_id,
        "kind": "still" if file.is_still else "video",
        "size_bytes": file.size_bytes,
        "reason": "",
    }
    return row | facts


def header_facts(info: StreamInfo | None, rotation: int) -> dict[str, Any]:
    """What the header claims, as media columns; sizes are after rotation, as the boxes are."""
    if info is None:
        return {}
    turned = rotation % 180 != 0
    return {
        "container": info.container,
        "codec": info.codec,
        "width": info.height if turned else info.width,
        "height": info.width if turned else info.height,
        "rotation": rotation % 360,
        "time_base": f"{info.time_base.numerator}/{info.time_base.denominator}",
        "frame_rate_header": info.frame_rate_header,
        "frames_header": info.frames_header,
        "duration_s": info.duration_s,
        "start_time_s": info.start_time_s,
    }


def coverage_row(
    media_id: str | None,
    path: str,
    segment: int | None,
    state: CoverageState,
    *,
    n_frames: int | None,
    frames: tuple[int | None, int | None] = (None, None),
    times_s: tuple[float | None, float | None] = (None, None),
    reason: str = "",
) -> dict[str, Any]:
    """A coverage row: `n_frames` frames of `state` within the span."""
    return {
        "media_id": media_id,
        "path": path,
        "segment": segment,
        "state": str(state),
        "start_frame": frames[0],
        "stop_frame": frames[1],
        "start_time_s": times_s[0],
        "stop_time_s": times_s[1],
        "n_frames": n_frames,
        "reason": reason,
    }


def _odd_bytes(file: InputFile) -> str | None:
    """The path's exact bytes as hexadecimal, where `path` shows some of them as escapes."""
    count = file.relative.count("/") + 1
    raw = b"/".join(os.fsencode(file.path).split(b"/")[-count:])
    return None if raw == os.fsencode(file.relative) else raw.hex()
