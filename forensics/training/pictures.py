"""Pictures for training: read and write stills, sample frames of footage, group what is alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from forensics.errors import FootageError, TrainingError
from forensics.footage.protocol import DecodeRequest, Sampling
from forensics.footage.reader import DEFAULT_MAX_PIXELS, Ended, FrameReader
from forensics.training.neighbours import Hashes
from forensics.types import Frame, ImageArray, Status

NEAR_BITS = 24
JPEG_QUALITY = 92
SMALLEST_VIEW = 32


def read_picture(path: Path) -> ImageArray:
    """Decode a still to uint8 RGB (h, w, 3). Raises TrainingError when it is none."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except (OSError, cv2.error) as error:
        raise TrainingError(f"{path.name}: cannot be read ({error})") from error
    if bgr is None:
        raise TrainingError(f"{path.name}: not a picture, or a broken one")
    if bgr.shape[0] * bgr.shape[1] > DEFAULT_MAX_PIXELS:
        raise TrainingError(f"{path.name}: more than {DEFAULT_MAX_PIXELS} pixels")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def jpeg_bytes(rgb: ImageArray, quality: int = JPEG_QUALITY) -> bytes:
    """Encode uint8 RGB (h, w, 3) as JPEG."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def sampled_frames(path: Path, every_s: float) -> Iterator[tuple[int, ImageArray]]:
    """Yield (frame index, uint8 RGB (h, w, 3)) of a video, one frame each `every_s` seconds.

    Decoded as a scan does it, in a child process. Raises FootageError when nothing can be decoded.
    """
    request = DecodeRequest(
        paths=(str(path.absolute()),),
        stills=False,
        imgsz=SMALLEST_VIEW,
        max_pixels=DEFAULT_MAX_PIXELS,
        segment_s=60.0,
        sampling=Sampling(1, every_s),
        views=False,
    )
    found = 0
    with FrameReader(request, slots=2) as reader:
        for event in reader.events():
            if isinstance(event, Frame):
                found += 1
                rgb = event.rgb().copy()
                reader.release(event)
                yield event.index, rgb
            elif isinstance(event, Ended) and event.status is not Status.OK and not found:
                raise FootageError(f"{path.name}: {event.reason}")


def near_duplicate_groups(
    hashes: Hashes, limit: int = NEAR_BITS, block: int = 512
) -> NDArray[np.int64]:
    """Number the groups of pictures linked by hashes that differ in at most `limit` bits.

    uint64 (n, 4) -> int64 (n,): the lowest index of each one's group (single linkage).
    """
    parent = np.arange(len(hashes))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = int(parent[item])
        return item

    for start in range(0, len(hashes), block):
        differing = np.bitwise_count(hashes[start : start + block, None] ^ hashes[None])
        distance = differing.sum(axis=2, dtype=np.int64)
        for near, far in zip(*np.nonzero(distance <= limit), strict=True):
            a, b = root(start + int(near)), root(int(far))
            parent[max(a, b)] = min(a, b)
    return np.array([root(item) for item in range(len(hashes))], np.int64)
