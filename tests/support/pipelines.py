"""What every way of frames to the networks must keep to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forensics.cascade.pipeline import DEPTH, Runs
from forensics.types import Frame


def check_frames_are_released(pipeline: Runs, frame: Callable[[int], Frame]) -> None:
    """`DEPTH` batches and one more are under way: the ring of pictures is sized for that."""
    taken: list[int] = []

    def items() -> Any:
        for number in range(5):
            taken.append(number)
            yield number, [frame(number)]

    for done, (token, _) in enumerate(pipeline.run(items())):
        assert token == done
        assert len(taken) <= done + DEPTH + 1
    assert taken == list(range(5))
