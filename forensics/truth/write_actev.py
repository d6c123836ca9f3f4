"""Write truth as an ActEV output with its file index and activity index."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from forensics.errors import TruthError
from forensics.truth.base import IGNORE, NONE, Span, Truth
from forensics.truth.writing import Losses, write_new

NO_FACTS: Mapping[str, float] = MappingProxyType({})
_NAME = re.compile(r"^[A-Za-z0-9_\-.]+$")  # what the schema of NIST's scorer lets through
_OPEN = re.compile(r"[A-Za-z0-9_\-.]")
Bounds = tuple[int, int]


def write_actev(
    truth: Truth,
    target: Path,
    *,
    frame_rates: Mapping[str, float] = NO_FACTS,
    durations: Mapping[str, float] = NO_FACTS,
) -> Losses:
    """Write `X.json` with `X.file-index.json` and `X.activity-index.json` beside it.

    Every span of a class is one activity, at the file's `frame_rates` (frames/s by name): from
    frame 1 + start x rate to, and without, frame 1 + end x rate, rounded. All spans but `ignore`
    are `selected`. `durations` (s) are needed where a span is open to the end of its file. Lost:
    frames with their boxes, folders (names of ActEV have none), `planted`, times between frames,
    and that a name lacks its extension. Refused: names that NIST's schema refuses.
    """
    losses: list[str] = []
    files: dict[str, _File] = {}
    for media in truth.media:
        if len(media.frames):
            counts = f"{len(media.frames)} frames with {len(media.boxes)} boxes"
            losses.append(f"{media.name}: {counts} are left out; this file has spans")
        if media.spans:
            short = _short_name(media.name, losses)
            file = files.setdefault(short, _File(media.name, frame_rates, durations))
            if file.name != media.name:
                raise TruthError(f"{media.name}: {file.name} would be called {short} too; rename")
            file.add(media.spans)
    activities = [
        {
            "activity": label,
            "presenceConf": 1.0,
            "localization": {short: {str(start): 1, str(stop): 0}},
        }
        for short, file in files.items()
        for label, (start, stop) in file.activities
    ]
    numbered = [{"activityID": number} | entry for number, entry in enumerate(activities, start=1)]
    named = (*truth.declared, *(str(entry["activity"]) for entry in activities))
    index = {short: file.to_json() for short, file in files.items()}
    output = {"filesProcessed": list(files), "activities": numbered}
    kinds: dict[str, Any] = {name: {} for name in named if name not in {NONE, IGNORE}}
    write_new(
        (target, _document(output)),
        (target.with_name(f"{target.stem}.file-index.json"), _document(index)),
        (target.with_name(f"{target.stem}.activity-index.json"), _document(kinds)),
    )
    return (*losses, *(line for file in files.values() for line in file.losses()))


class _File:
    """The spans of one file, in frames counted from 1, half-open."""

    def __init__(
        self, name: str, frame_rates: Mapping[str, float], durations: Mapping[str, float]
    ) -> None:
        self.name = name
        self.activities: list[tuple[str, Bounds]] = []
        self._rate = frame_rates.get(name, 0.0)
        self._duration_s = durations.get(name, math.nan)
        self._judged: list[Bounds] = []
        self._ignored: list[Bounds] = []
        self._moved_s = 0.0
        self._planted = 0
        if not 0.001 <= self._rate <= 10_000:
            raise TruthError(
                f"{name}: the format needs its frame rate; give it (frame_rates, or --run)"
            )

    def add(self, spans: Iterable[Span]) -> None:
        for span in spans:
            bounds = self._bounds(span)
            (self._ignored if span.label == IGNORE else self._judged).append(bounds)
            if span.label not in {NONE, IGNORE}:
                self.activities.append((span.label, bounds))
            self._planted += span.planted

    def to_json(self) -> dict[str, Any]:
        """The file's entry in the index: its frame rate, and where `selected` changes."""
        selected: dict[str, int] = {}
        for start, stop in _without(_merged(self._judged), _merged(self._ignored)):
            selected |= {str(start): 1, str(stop): 0}
        return {"framerate": self._rate, "selected": selected}

    def losses(self) -> list[str]:
        found = []
        if self._moved_s > 1e-6:
            found.append(
                f"{self.name}: times are rounded to frames, by up to {self._moved_s:.3g} s"
            )
        if self._planted:
            found.append(f"{self.name}: {self._planted} spans are planted, which ActEV cannot say")
        return found

    def _bounds(self, span: Span) -> Bounds:
        """The frames of a span; one that is shorter than a frame gets one."""
        end_s = self._duration_s if math.isinf(span.end_s) else span.end_s
        if math.isnan(end_s):
            raise TruthError(
                f"{self.name}: a span is open to the end of the file; give its duration "
                "(durations, or --run)"
            )
        start = 1 + max(round(span.start_s * self._rate), 0)
        stop = max(1 + round(end_s * self._rate), start + 1)
        moved = ((start - 1) / self._rate - span.start_s, (stop - 1) / self._rate - end_s)
        self._moved_s = max(self._moved_s, *map(abs, moved))
        return start, stop


def _short_name(name: str, losses: list[str]) -> str:
    short = PurePosixPath(name).name
    if not _NAME.match(short):
        odd = "".join(dict.fromkeys(_OPEN.sub("", short)))
        raise TruthError(f"{name}: ActEV names cannot hold {odd!r}; rename the file in the truth")
    if short != name:
        losses.append(f"{name}: written as {short}; names of ActEV have no folders")
    return short


def _merged(bounds: Iterable[Bounds]) -> list[Bounds]:
    merged: list[Bounds] = []
    for start, stop in sorted(bounds):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _without(bounds: list[Bounds], taken: list[Bounds]) -> list[Bounds]:
    """What of some bounds is left outside others; both merged."""
    for low, high in taken:
        parts = [[(start, min(stop, low)), (max(start, high), stop)] for start, stop in bounds]
        bounds = [(start, stop) for part in parts for start, stop in part if start < stop]
    return bounds


def _document(data: object) -> str:
    return json.dumps(data, indent=1, allow_nan=False) + "\n"
