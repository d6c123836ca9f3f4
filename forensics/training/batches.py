"""Which crops an epoch shows, in which order, and how they become network input.

Everything random follows from (seed, epoch, place in the epoch), so that neither a restart nor the
number of threads changes a training run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from forensics.errors import TrainingError
from forensics.training.augment import augment, enlarge, grey
from forensics.training.classifier_model import FitMeta
from forensics.training.crops import decode_picture
from forensics.training.examples import Example
from forensics.types import ImageArray

Ints = NDArray[np.int64]
AHEAD = 3  # batches prepared while the network works
GREY_SHARE = 0.5


def epoch_order(labels: Ints, seed: int, epoch: int, balance: float = 1.0) -> Ints:
    """Indices of the crops of one epoch, as many as there are crops, int64 (n,).

    A class gets a share proportional to count^(1 - balance): with 1, all classes the same. Rare
    classes are shown again and again, each time augmented anew, and large ones in turns: a class
    of few crops, weighted in the loss instead, would give rare and violent steps.
    """
    rng = np.random.default_rng([seed, epoch])
    classes, counts = np.unique(labels, return_counts=True)
    share = counts ** (1.0 - balance)
    quota = np.maximum(1, np.rint(len(labels) * share / share.sum())).astype(int)
    picked = []
    for label, wanted in zip(classes, quota, strict=True):
        own = np.flatnonzero(labels == label)
        rounds = -(-wanted // len(own))
        picked.append(np.concatenate([rng.permutation(own) for _ in range(rounds)])[:wanted])
    return np.asarray(rng.permutation(np.concatenate(picked)), np.int64)


def training_batches(
    examples: Sequence[Example],
    order: Ints,
    *,
    seed: int,
    epoch: int,
    batch: int,
    colour: str,
    workers: int,
) -> Iterator[tuple[ImageArray, Ints]]:
    """Augmented crops, uint8 (b, side, side, 3), as they were cut, and their places in
    `examples`, int64 (b,)."""
    whole = max(1, len(order) // batch)  # a last batch of few crops would upset batch norms

    def view(place: int) -> ImageArray:
        rng = np.random.default_rng([seed, epoch, place])
        share = 1.0 if colour == "grey" else GREY_SHARE
        return augment(picture(examples[order[place]]), rng, grey_share=share)

    places = [range(k * batch, min((k + 1) * batch, len(order))) for k in range(whole)]
    for crops, spots in _prepared(view, places, workers):
        yield crops, order[spots.start : spots.stop]


def plain_batches(
    examples: Sequence[Example], meta: FitMeta, *, batch: int, workers: int
) -> Iterator[ImageArray]:
    """Crops as the cascade gives them to the network, uint8 (b, imgsz, imgsz, 3), in order."""

    def view(place: int) -> ImageArray:
        example = examples[place]
        rgb = middle(picture(example), meta.share_of(example.side_px), meta.imgsz)
        return grey(rgb) if meta.colour == "grey" else rgb

    places = [range(k, min(k + batch, len(examples))) for k in range(0, len(examples), batch)]
    for crops, _ in _prepared(view, places, workers):
        yield crops


def picture(example: Example) -> ImageArray:
    """The crop's picture, uint8 RGB. Raises TrainingError when it is gone since it was checked."""
    try:
        rgb = decode_picture(example.path.read_bytes())
    except OSError:
        rgb = None
    if rgb is None:
        raise TrainingError(f"{example.path} went away or was damaged meanwhile; run again")
    return rgb


def middle(crop: ImageArray, share: float, imgsz: int) -> ImageArray:
    """The middle `share` of the side: uint8 (side, side, 3) -> uint8 (imgsz, imgsz, 3), averaged
    where that is smaller, else linear."""
    side = max(1, round(crop.shape[0] * share))
    low = (crop.shape[0] - side) // 2
    part = crop[low : low + side, low : low + side]
    if side <= imgsz:
        return part if side == imgsz else enlarge(part, imgsz)
    return np.asarray(cv2.resize(part, (imgsz, imgsz), interpolation=cv2.INTER_AREA), np.uint8)


def to_input(
    crops: ImageArray, mean: Sequence[float], std: Sequence[float], device: str
) -> torch.Tensor:
    """uint8 (n, h, w, 3) -> float32 (n, 3, h, w), normalised, channels last in memory."""
    pixels = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2).float()
    shift, scale = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (mean, std))
    return (pixels / 255 - shift) / scale


def _prepared(
    view: Callable[[int], ImageArray], places: Sequence[range], workers: int
) -> Iterator[tuple[ImageArray, range]]:
    """Batches in order, made by threads a little ahead of their use."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: deque[tuple[list[Future[Any]], range]] = deque()
        todo = iter(places)
        while True:
            while len(waiting) < AHEAD and (spots := next(todo, None)) is not None:
                waiting.append(([pool.submit(view, place) for place in spots], spots))
            if not waiting:
                return
            futures, spots = waiting.popleft()
            yield np.stack([future.result() for future in futures]), spots
