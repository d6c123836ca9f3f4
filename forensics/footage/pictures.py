"""What a file named like a picture holds: one picture, several, or a video.

The name alone decides nothing: a video renamed to .jpg must not end after its first frame. Read
without FFmpeg, whose picture readers stop after the first picture and say nothing of others.

Sources: TIFF 6.0 (its directories), the PNG, WebP and JPEG (ITU-T T.81) specifications.
"""

from __future__ import annotations

import struct
from pathlib import Path

from forensics.types import STILL_SUFFIXES

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
MOST_READ = 256 << 20
MOST_PAGES = 100_000
NONE = (0, "")
REDUCED = 254  # the tag whose lowest bit marks a thumbnail


def is_still(path: Path) -> bool:
    """True for a file named like a picture that is none that moves, as far as its start tells."""
    if path.suffix.lower() not in STILL_SUFFIXES:
        return False
    try:
        with open(path, "rb") as stream:
            start = stream.read(1 << 16)
    except OSError:
        return True
    if start.startswith(PNG):  # an animated one says so before its first picture
        return b"acTL" not in start.partition(b"IDAT")[0]
    webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    known = start.startswith((JPEG, b"BM")) or start[:4] in TIFF
    return not start or webp or known


def further_pictures(path: str) -> tuple[int | None, str]:
    """How many pictures a file holds beside its first one, None = not known, and that in words."""
    with open(path, "rb") as stream:
        data = stream.read(MOST_READ)
    if data[:4] in TIFF:
        return _said(_tiff_pages(data), "page")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _said(_webp_frames(data), "picture")
    return _behind_jpeg(data) if data.startswith(JPEG) else NONE


def _said(more: int, what: str) -> tuple[int | None, str]:
    if not more:
        return NONE
    return more, f"it holds {more + 1} {what}s; only its first one is looked at"


def _tiff_pages(data: bytes) -> int:
    """Directories after the first one, without those of thumbnails."""
    order, big = TIFF[data[:4]], data[2:4] in {b"+\0", b"\0+"}
    head, size, where = ("Q", 20, "Q") if big else ("H", 12, "I")
    at, seen, pages = _number(data, 8 if big else 4, order + where), set[int](), 0
    while at and at not in seen and len(seen) < MOST_PAGES:
        n_entries = _number(data, at, order + head)
        first = at + struct.calcsize(head)
        if seen and not _is_reduced(data, first, n_entries, size, order):
            pages += 1
        seen.add(at)
        at = _number(data, first + n_entries * size, order + where)
    return pages


def _is_reduced(data: bytes, first: int, n_entries: int, size: int, order: str) -> bool:
    for entry in range(first, first + min(n_entries, 1000) * size, size):
        if _number(data, entry, order + "H") == REDUCED:
            return bool(_number(data, entry + size // 2 + 2, order + "I") & 1)
    return False


def _number(data: bytes, at: int, form: str) -> int:
    """A number at a position; 0 outside the file."""
    size = struct.calcsize(form)
    return int(struct.unpack_from(form, data, at)[0]) if at + size <= len(data) else 0


def _webp_frames(data: bytes) -> int:
    at, frames = 12, 0
    while at + 8 <= len(data):
        frames += data[at : at + 4] == b"ANMF"
        length = _number(data, at + 4, "<I")
        at += 8 + length + length % 2
    return max(0, frames - 1)


def _behind_jpeg(data: bytes) -> tuple[int | None, str]:
    """Pictures or a video behind the first picture. Previews that the file itself lists (in its
    MPF segment) are the same picture once more."""
    end, listed = _jpeg_end(data)
    if b"ftyp" in data[end:]:
        at = data.index(b"ftyp", end) - 4
        return None, f"a video follows at byte {at} and is not scanned"
    if not listed and (at := data.find(JPEG, end)) >= 0:
        return None, f"another picture follows at byte {at} and is not scanned"
    return NONE


def _jpeg_end(data: bytes) -> tuple[int, bool]:
    """Where the first picture ends, and whether it lists others."""
    at, listed = 2, False
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker == 0xD9:
            return at + 2, listed
        if marker in {0x00, 0x01, 0xFF} or 0xD0 <= marker <= 0xD8:  # data, fill bytes, restarts
            at += 1 if marker == 0xFF else 2
            continue
        listed |= marker == 0xE2 and data[at + 4 : at + 8] == b"MPF\0"
        at += 2 + _number(data, at + 2, ">H")
    return len(data), listed
