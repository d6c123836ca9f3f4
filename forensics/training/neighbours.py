"""Near-duplicate pictures by difference hash: found, thinned, and kept out of different splits.

A difference hash shrinks the grey picture to 17 x 16 pixels and notes whether each is brighter
than its left neighbour: 256 bits. Pictures whose hashes differ in few bits show nearly the same.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from forensics.types import ImageArray

BITS = 256
Hashes = NDArray[np.uint64]  # (n, 4)
Bools = NDArray[np.bool_]
_ROWS = 16
_WORDS = BITS // 64
_BLOCK_BYTES = 64 << 20


def difference_hash(rgb: ImageArray) -> Hashes:
    """uint8 RGB (h, w, 3) -> uint64 (4,): 16 rows of 16 bits."""
    grey = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_ROWS + 1, _ROWS), interpolation=cv2.INTER_AREA)
    bits = small[:, 1:] > small[:, :-1]
    return np.frombuffer(np.packbits(bits).tobytes(), ">u8").astype(np.uint64)


def to_hex(hashes: Hashes) -> list[str]:
    """Hashes (n, 4) as 64 hexadecimal digits each."""
    return [row.astype(">u8").tobytes().hex() for row in hashes]


def from_hex(texts: list[str]) -> Hashes:
    """The hashes (n, 4) that `to_hex` wrote. Raises ValueError."""
    raw = b"".join(bytes.fromhex(text) for text in texts)
    return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(len(texts), _WORDS)


def mirrored(hashes: Hashes) -> Hashes:
    """Hashes (n, 4) of the mirror images; exact where no two neighbouring pixels are equal."""
    raw = np.frombuffer(hashes.astype(">u8").tobytes(), np.uint8).reshape(-1, _ROWS, 2)
    bits = 1 - np.unpackbits(raw, axis=2)[:, :, ::-1]
    packed = np.packbits(bits, axis=2).reshape(len(hashes), -1)
    return np.frombuffer(packed.tobytes(), ">u8").astype(np.uint64).reshape(-1, _WORDS)


def distances(first: Hashes, others: Hashes) -> NDArray[np.int64]:
    """Differing bits of one hash (4,) and each of (n, 4): int64 (n,)."""
    return np.asarray(np.bitwise_count(others ^ first).sum(axis=1, dtype=np.int64))


class Kept:
    """Pictures that were kept so far; grows as pictures are offered."""

    def __init__(self, limit_bits: int) -> None:
        self._limit = limit_bits
        self._hashes = np.zeros((64, _WORDS), np.uint64)
        self._count = 0

    def offer(self, picture: Hashes) -> bool:
        """Keep a hash (4,) unless it differs from a kept one in at most `limit_bits` bits."""
        kept = self._hashes[: self._count]
        if self._count and int(distances(picture, kept).min()) <= self._limit:
            return False
        if self._count == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._hashes[self._count] = picture
        self._count += 1
        return True


def thin(hashes: Hashes, order: NDArray[np.int64], limit_bits: int) -> Bools:
    """Which of (n, 4) to keep so that no two kept are near-duplicates: bool (n,).

    Greedy in `order` int64 (n,): the first of a group of near-duplicates stays.
    """
    kept, keep = Kept(limit_bits), np.zeros(len(hashes), np.bool_)
    for place in order.tolist():
        keep[place] = kept.offer(hashes[place])
    return keep


def near_any(hashes: Hashes, others: Hashes, limit_bits: int) -> Bools:
    """Which of (n, 4) are near-duplicates of one of `others` (m, 4) or its mirror: bool (n,)."""
    found = np.zeros(len(hashes), np.bool_)
    if not len(others):
        return found
    both = np.concatenate([others, mirrored(others)])
    step = max(1, _BLOCK_BYTES // both.nbytes)
    for start in range(0, len(hashes), step):
        block = hashes[start : start + step, None]
        bits = np.bitwise_count(block ^ both[None]).sum(axis=2, dtype=np.int64)
        found[start : start + step] = bits.min(axis=1) <= limit_bits
    return found
