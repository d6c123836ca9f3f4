"""When each file's frames begin and end, read in one pass over the log."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forensics.evaluation.ledger import LEAST_S, frame_lengths, planned_step_s
from forensics.runlog.reader import RunTables

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clock:
    """Of one media: time of its first and last frame, and how long a frame lasts (the median).

    `holes`: spans (start, stop) between frames in which nothing was recorded.
    """

    first_s: float
    last_s: float
    step_s: float
    holes: tuple[tuple[float, float], ...] = ()

    def recorded(self, start_s: float, stop_s: float) -> float:
        """Seconds of a span without the holes in it."""
        lost = (min(stop_s, high) - max(start_s, low) for low, high in self.holes)
        return max(0.0, stop_s - start_s - sum(max(0.0, part) for part in lost))


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
    planned_s = planned_step_s(run)
    return {name: _clock(np.concatenate(times), planned_s) for name, times in parts.items()}


def _clock(time_s: Floats, planned_s: float) -> Clock:
    time_s = np.sort(time_s)
    ends = time_s + frame_lengths(time_s, planned_s)
    # Not by equality: a sum of a time and a difference to the next is off by its last digit.
    before = np.flatnonzero(time_s[1:] - ends[:-1] > LEAST_S)
    holes = zip(ends[before].tolist(), time_s[before + 1].tolist(), strict=True)
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
    return Clock(float(time_s[0]), float(time_s[-1]), step_s, tuple(holes))
