"""What every way of frames to the networks must keep to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forensics.cascade.pipeline import Runs
from forensics.types import Frame


def batches_taken(pipeline: Runs, frame: Callable[[int], Frame]) -> list[tuple[int, int]]:
    """Of five batches of one frame: each as its results come out, and how many were taken then."""
    taken: list[int] = []

    def items() -> Any:
        for number in range(5):
            taken.append(number)
            yield number, [frame(number)]

    return [(token, len(taken)) for token, _ in pipeline.run(items())]
