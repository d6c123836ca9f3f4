"""A run joined to its truth holds few bytes of a frame and of a detection, and no copies."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.bench.synthetic import Size, make_log
from forensics.evaluation.prepare import Prepared, prepare
from forensics.evaluation.surface import surfaces
from forensics.runlog.reader import open_run
from forensics.truth.load import load_truth

FRAME_BYTES, DETECTION_BYTES, BOX_BYTES, MEDIA_BYTES = 32, 16, 160, 1000
GRID = np.linspace(0.05, 0.95, 20).tolist()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    return make_log(tmp_path_factory.mktemp("log"), Size(4, 5000, 24_000))


def arrays(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value.base if isinstance(value.base, np.ndarray) else value
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.name not in {"run", "table"}:
                yield from arrays(getattr(value, field.name))


def held_bytes(prepared: Prepared) -> int:
    return sum(a.nbytes for a in {id(a): a for a in arrays(prepared)}.values())


def allowed_bytes(prepared: Prepared) -> int:
    log = prepared.log
    return (
        FRAME_BYTES * len(log.ok)
        + DETECTION_BYTES * len(log.score)
        + BOX_BYTES * len(prepared.labels.boxes.kind)
        + MEDIA_BYTES * len(log.media_id)
    )


def test_what_is_held(log: tuple[Path, list[Path]]) -> None:
    prepared = prepare(open_run(log[0]), load_truth(log[1]))
    assert len(prepared.log.score) > 20_000 and prepared.labels.matched
    assert held_bytes(prepared) <= allowed_bytes(prepared)
    assert prepared.timeline.time_s is prepared.log.time_s


def test_nothing_makes_a_copy_of_the_whole(log: tuple[Path, list[Path]]) -> None:
    """Joining and surfaces need little beside what is held: no int64 or Python object per row."""
    run, truth = open_run(log[0]), load_truth(log[1])
    surfaces(prepare(run, truth), GRID, GRID)  # compiled beforehand
    tracemalloc.start()
    try:
        prepared = prepare(run, truth)
        after_join = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        surfaces(prepared, GRID, GRID)
        after_surfaces = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    held = held_bytes(prepared)
    rows = len(prepared.log.ok) + len(prepared.log.score)
    assert after_join < held + 40 * rows
    assert after_surfaces < held + 30 * rows
