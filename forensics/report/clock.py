"""When each file's frames begin and end, read in one pass over the log."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forensics.runlog.reader import RunTables

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clock:
    """Of one media: time of its first and last frame, and how long a frame lasts (the median)."""

    first_s: float
    last_s: float
    step_s: float


def clocks(run: RunTables) -> dict[str, Clock]:
    """The clock of every media that has a frame with a time."""
    parts: dict[str, list[Floats]] = defaultdict(list)
    for batch in run.frames.select(["media_id", "time_s"]).to_batches():
        column = batch["media_id"]
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        time_s = np.asarray(batch["time_s"].to_numpy(zero_copy_only=False), np.float64)
        media = coded.indices.to_numpy(zero_copy_only=False)
        timed = ~np.isnan(time_s)
        media, time_s = media[timed], time_s[timed]
        edges = [0, *(np.flatnonzero(media[1:] != media[:-1]) + 1).tolist(), len(media)]
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            if low < high:
                name = coded.dictionary[int(media[low])].as_py()
                parts[name].append(time_s[low:high])
    return {name: _clock(np.concatenate(times)) for name, times in parts.items()}


def _clock(time_s: Floats) -> Clock:
    steps = np.diff(np.sort(time_s))
    return Clock(
        float(time_s.min()), float(time_s.max()), float(np.median(steps)) if len(steps) else 0.0
    )
