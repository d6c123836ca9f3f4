"""Which footage, and which frame of it, other tools' detections belong to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from forensics.errors import TruthError
from forensics.truth.naming import MediaNames
from forensics.truth.predictions import FramePredictions
from forensics.types import InputFile

_NUMBERED = re.compile(r"^(?P<stem>.+)_(?P<number>\d{1,8})$")
Attached = dict[str, dict[int, FramePredictions]]
"""Footage's path as logged -> 0-based frame -> what was found there."""


def attach(frames: Iterable[FramePredictions], inputs: Sequence[InputFile]) -> Attached:
    """Sort detections by footage and frame. Raises TruthError where that is not certain."""
    footage = _Footage(inputs)
    attached: Attached = {file.relative: {} for file in inputs}
    for given in frames:
        path, index = footage.place(given)
        earlier = attached[path].setdefault(index, given)
        if earlier is not given:
            raise TruthError(
                f"{given.where}: frame {index} (from 0) of {path} has detections in "
                f"{earlier.where} already; give one of them"
            )
    return attached


class _Footage:
    """Finds footage, and frames by the names that tools give their pictures."""

    def __init__(self, inputs: Sequence[InputFile]) -> None:
        self._stills = {file.relative for file in inputs if file.is_still}
        self._paths = sorted({file.relative for file in inputs})
        self._names = MediaNames({path: number for number, path in enumerate(self._paths)})
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in self._paths:
            self._by_stem[PurePosixPath(path).stem].append(path)

    def place(self, given: FramePredictions) -> tuple[str, int]:
        if given.frame is not None:
            path = self._named(given.name, given.where)
            if given.frame and path in self._stills:
                raise TruthError(f"{given.where}: {path} is a still; it has no frame {given.frame}")
            if given.picture and path not in self._stills:
                raise TruthError(
                    f"{given.where}: names the video {path} without a frame; write NAME#N, counted "
                    "from 0, or give the COCO file that lists the frames (--listing)"
                )
            return path, given.frame
        stills = [path for path in self._by_stem[given.name] if path in self._stills]
        if stills:
            return self._only(stills, given.name, given.where), 0
        numbered = _NUMBERED.match(given.name)
        stem, number = (numbered["stem"], int(numbered["number"])) if numbered else ("", 0)
        videos = [path for path in self._by_stem[stem] if path not in self._stills]
        if not videos or number < 1:
            raise TruthError(
                f"{given.where}: no still called {given.name} and no video whose frame this could "
                "be (STEM_N, counted from 1) is in the footage; check --footage"
            )
        return self._only(videos, stem, given.where), number - 1

    def _named(self, name: str, where: str) -> str:
        number = self._names.find(name, where, suffix_known=True)
        if number is None:
            raise TruthError(f"{where}: {name} is not in the footage; check --footage")
        return self._paths[number]

    def _only(self, found: list[str], name: str, where: str) -> str:
        if len(found) > 1:
            listed = ", ".join(sorted(found)[:3])
            raise TruthError(f"{where}: {name} could mean {listed}; write its path in full")
        return found[0]

