"""How a container lies in its file, read without FFmpeg: what its readers pass over in silence.

A reader of MP4, FLV or ASF stops where the first recording ends, even when another one follows in
the same file; and a stream that begins late in a transport stream is not always reported. These
walks read headers only, or single bytes of packets; they yield now and then, as a sign of life.

Sources: ISO/IEC 14496-12 (boxes), the FLV and ASF specifications, ISO/IEC 13818-1 (packets).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import BinaryIO

import numpy as np

from forensics.types import ImageArray

MOV, FLV, ASF, MPEGTS = "mov,mp4,m4a,3gp,3g2,mj2", "flv", "asf", "mpegts"
TRANSPORT_PACKETS = ((188, 0), (192, 4), (204, 0))  # size, and where the sync byte lies
SYNC = 0x47
CHUNK_PACKETS = 8192
CHUNK_BYTES = 1 << 20
STEPS_A_SIGN = 20_000
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
CUT = "the file ends within"
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
FLV_TAGS = frozenset({8, 9, 18})  # sound, pictures, data
Walk = Generator[None, None, str]


def what_follows(path: str, container: str) -> Walk:
    """Return in words what lies behind the recording that is read; empty when nothing does.

    What begins with `CUT` says that the recording itself is not all there.

    Zeroes behind it are the padding of some recorders, and nothing.
    """
    walks = {MOV: _after_boxes, FLV: _after_tags, ASF: _after_objects}
    if container not in walks:
        return ""
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        return (yield from walks[container](stream, size))


def _after_boxes(stream: BinaryIO, size: int) -> Walk:
    """MP4 and MOV. One recording has one `moov`; fragments (`moof`, `mdat`) may follow it."""
    at, steps = 0, 0
    seen: set[bytes] = set()
    while at + 8 <= size:
        length, kind = _box(stream, at, size)
        if not _is_box(kind, length):
            return (yield from _no_part(stream, at, size))
        if (kind == b"ftyp" and seen) or (kind == b"moov" and b"moov" in seen):
            return f"another recording follows at byte {at}"
        if at + length > size and kind in {b"mdat", b"moov", b"moof"}:
            return _cut(at + length - size)
        if at + length > size:
            return (yield from _no_part(stream, at, size))
        seen.add(kind)
        at, steps = at + length, steps + 1
        if steps % STEPS_A_SIGN == 0:
            yield
    return (yield from _no_part(stream, at, size))


def _box(stream: BinaryIO, at: int, size: int) -> tuple[int, bytes]:
    """Length and kind of the box at a position; the length 0 means that it fills the file."""
    stream.seek(at)
    head = stream.read(16)
    length, kind = int.from_bytes(head[:4], "big"), head[4:8]
    if length == 1:
        length = int.from_bytes(head[8:16], "big")
    elif length == 0 and kind.strip(b"\0"):
        length = size - at
    return length, kind


def _is_box(kind: bytes, length: int) -> bool:
    return length >= 8 and all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind)


def _after_tags(stream: BinaryIO, size: int) -> Walk:
    """FLV: a header, then tags, each followed by its length."""
    stream.seek(5)
    at, steps = int.from_bytes(stream.read(4), "big") + 4, 0
    while at + 11 <= size:
        stream.seek(at)
        head = stream.read(11)
        if head[:3] == b"FLV":
            return f"another recording follows at byte {at}"
        if head[0] & 0x1F not in FLV_TAGS:
            return (yield from _no_part(stream, at, size))
        at, steps = at + 11 + int.from_bytes(head[1:4], "big") + 4, steps + 1
        if steps % STEPS_A_SIGN == 0:
            yield
    if at - 4 > size:
        return _cut(at - 4 - size)
    return (yield from _no_part(stream, at, size))


def _after_objects(stream: BinaryIO, size: int) -> Walk:
    """ASF: objects with a name of 16 bytes and a length; one recording has one header."""
    at = 0
    while at + 24 <= size:
        stream.seek(at)
        head = stream.read(24)
        length = int.from_bytes(head[16:], "little")
        if head[:16] == ASF_HEADER and at:
            return f"another recording follows at byte {at}"
        if head[:16] == ASF_DATA and length == 0:  # recorded as it was sent: open to the end
            return ""
        if not head[:16].strip(b"\0") or length < 24:
            break
        at += length
    return _cut(at - size) if at > size else (yield from _no_part(stream, at, size))


def _cut(n_bytes: int) -> str:
    return f"{CUT} its last part ({n_bytes} bytes are missing)"


def _no_part(stream: BinaryIO, at: int, size: int) -> Walk:
    """What to say of the bytes from `at` on, which are no part of the recording."""
    stream.seek(min(at, size))
    left = max(0, size - at)
    while chunk := stream.read(CHUNK_BYTES):
        if chunk.strip(b"\0"):
            return f"{left} bytes from byte {at} on are no part of its recording and were not read"
        yield
    return ""


def transport_layout(path: str) -> tuple[int, int] | None:
    """Size of a transport stream's packets, and where in them the sync byte lies."""
    with open(path, "rb") as stream:
        start = stream.read(512)
    for size, offset in TRANSPORT_PACKETS:
        if start[offset : offset + 1] == start[offset + size : offset + size + 1] == b"\x47":
            return size, offset
    return None


def late_video(path: str, known: Iterable[int]) -> Generator[None, None, dict[int, int]]:
    """Return packet identifiers, beside those `known`, under which pictures come: where first.

    Of a transport stream, which may begin another stream anywhere; positions in bytes.
    """
    found: dict[int, int] = {}
    layout = transport_layout(path)
    if layout is None:
        return found
    passed, rest = 0, b""
    with open(path, "rb") as stream:
        while chunk := stream.read(layout[0] * CHUNK_PACKETS):
            data = np.frombuffer(rest + chunk, np.uint8)
            packets, start = _aligned(data, layout[0])
            for pid, number in _video_starts(packets).items():
                found.setdefault(pid, passed - len(rest) + start + number * layout[0] - layout[1])
            rest = data[start + packets.size :].tobytes()
            passed += len(chunk)
            yield
    return {pid: at for pid, at in found.items() if pid not in set(known)}


def _aligned(data: ImageArray, size: int) -> tuple[ImageArray, int]:
    """Packets, uint8 (n, size), that begin with the sync byte; and where the first one begins.

    Damage may have moved them, so that the alignment is found anew in every chunk.
    """
    whole = data[: len(data) // size * size].reshape(-1, size)
    start = int((whole == SYNC).sum(0).argmax()) if len(whole) else 0
    n_packets = (len(data) - start) // size
    return data[start : start + n_packets * size].reshape(-1, size), start


def _video_starts(packets: ImageArray) -> dict[int, int]:
    """Packet identifier -> number of its first packet that begins a piece of a video stream."""
    if not len(packets):
        return {}
    numbers = np.flatnonzero((packets[:, 0] == SYNC) & (packets[:, 1] & 0xC0 == 0x40))
    heads = packets[numbers]
    has_field = heads[:, 3] & 0x20 != 0
    payload = np.where(has_field, 5 + heads[:, 4].astype(int), 4)
    inside = payload <= packets.shape[1] - 8
    numbers, heads, payload = numbers[inside], heads[inside], payload[inside]
    rows = np.arange(len(heads))
    code = [heads[rows, payload + k] for k in range(4)]
    video = (code[0] == 0) & (code[1] == 0) & (code[2] == 1) & (code[3] & 0xF0 == 0xE0)
    pids = (heads[:, 1].astype(int) & 0x1F) << 8 | heads[:, 2]
    starts: dict[int, int] = {}
    for pid, number in zip(pids[video].tolist(), numbers[video].tolist(), strict=True):
        starts.setdefault(pid, number)
    return starts
