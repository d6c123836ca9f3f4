"""Cut crops out of full-resolution frames, one file of footage at a time, and thin them.

Inside a file a crop that nearly equals an earlier one of the same label is not kept; then the
best by detector score and a seeded sample of the rest stay, where there are more than asked for.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from forensics.boxes import square_crop
from forensics.cascade.crops import cut_crops
from forensics.evaluation.log import Ints, Log
from forensics.footage.grab import grab_frames, grab_stills
from forensics.runlog.places import Places
from forensics.training.candidates import FALSE_ALARM, KINDS, Candidates
from forensics.training.crops import BOX, CropRule, crop_id, encode_picture, picture_path
from forensics.training.neighbours import Kept, difference_hash, to_hex
from forensics.training.pictures import NEAR_BITS
from forensics.truth.base import Problem
from forensics.types import FloatArray, ImageArray

GONE = "the footage is no longer at its place"
CHANGED = "the file at this place is not the one that was scanned (its SHA-256 differs)"
UNDECODED = "cannot be decoded again"
STILLS_AT_ONCE = 256
Progress = Callable[[int, int], None]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """Thinning: most crops of a kind from one file (None: all), and what counts as duplicate."""

    per_source: int | None = None
    false_alarms_per_source: int | None = None
    duplicate_bits: int = NEAR_BITS
    seed: int = 0

    def of(self, kind: int) -> int | None:
        given = self.false_alarms_per_source
        return given if kind == FALSE_ALARM and given is not None else self.per_source


@dataclass(slots=True)
class Cutter:
    """Writes pictures below `folder` and collects their rows, problems and counts.

    `group_of` names the group of a source, `split_of` the split of a group.
    """

    folder: Path
    rule: CropRule
    limits: Limits
    group_of: Mapping[str, str]
    split_of: Mapping[str, str]
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    thinned: Counter[str] = field(default_factory=Counter)
    _source: list[tuple[Row, int]] = field(default_factory=list)
    _kept: dict[str, Kept] = field(default_factory=dict)

    def cut(self, rgb: ImageArray, xyxy: FloatArray, facts: Sequence[Row]) -> None:
        """Cut the boxes (n, 4) of one frame; `facts` are the other columns, as far as known."""
        crops = cut_crops(rgb, xyxy, self.rule.spec())
        squares = square_crop(xyxy, self.rule.padding, self.rule.min_side)
        for crop, square, box, fact in zip(crops, squares, xyxy, facts, strict=True):
            group = self.group_of[fact["source"]]
            known = fact | {"group": group, "split": self.split_of[group]}
            picture = difference_hash(crop)
            kept = self._kept.setdefault(known["label"], Kept(self.limits.duplicate_bits))
            if not kept.offer(picture):
                self.thinned["near-duplicates in the same file"] += 1
                continue
            self._write(crop, known | _box(box, square) | {"dhash": to_hex(picture[None])[0]})

    def _write(self, crop: ImageArray, row: Row) -> None:
        name = crop_id(row["source"], row["frame_index"], [row[side] for side in BOX])
        file = picture_path(name, row["split"], row["label"])
        data = encode_picture(crop)
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        row |= {"crop_id": name, "file": file, "sha256": sha256, "cluster": None}
        self._source.append((row, KINDS.index(row["kind"])))

    def end_source(self) -> None:
        """A file is done: keep at most as many crops of each kind as asked for."""
        kinds = np.array([kind for _, kind in self._source], np.int64)
        keep = np.ones(len(kinds), np.bool_)
        for kind in np.unique(kinds).tolist():
            limit, here = self.limits.of(kind), np.flatnonzero(kinds == kind)
            if limit is None or len(here) <= limit:
                continue
            scores = [self._source[place][0]["detector_score"] for place in here]
            keep[here] = False
            keep[here[spread(scores, limit, self.limits.seed)]] = True
        for (row, _), kept in zip(self._source, keep.tolist(), strict=True):
            if kept:
                self.rows.append(row)
            else:
                (self.folder / row["file"]).unlink()
                self.thinned["more of a kind from one file than asked for"] += 1
        self._source.clear()
        self._kept.clear()


def spread(scores: Sequence[float | None], limit: int, seed: int) -> Ints:
    """Places of the `limit` to keep: half the best scores (None last), half drawn from the rest."""
    filled = np.array([-1.0 if score is None else score for score in scores])
    ranked = np.argsort(-filled, kind="stable")
    best = (limit + 1) // 2
    drawn = np.random.default_rng(seed).choice(ranked[best:], limit - best, replace=False)
    return np.sort(np.concatenate([ranked[:best], drawn])).astype(np.int64)


def _box(box: FloatArray, square: Ints) -> Row:
    values: Row = {name: float(value) for name, value in zip(BOX, box, strict=True)}
    return values | {"side_px": int(square[2] - square[0])}


@dataclass(frozen=True, slots=True)
class _Work:
    """One file: its candidates by frame."""

    media: int
    path: Path
    rows: dict[int, list[int]]


def cut_candidates(
    cutter: Cutter,
    found: Candidates,
    log: Log,
    places: Places,
    progress: Progress | None = None,
) -> None:
    """Cut every candidate, in one pass per file; what cannot be had again is a problem.

    A file is read again only where its content is still the one that was scanned.
    """
    total = len(np.unique(np.stack([found.media, found.frame_index]), axis=1).T)
    done = 0
    for chunk in _chunks(_works(cutter, found, log, places), log):
        seen = set()
        for work, index, rgb in _decode(chunk, still=bool(log.still[chunk[0].media])):
            rows = np.array(work.rows[index], np.int64)
            cutter.cut(rgb, found.xyxy[rows], [_facts(found, row, log) for row in rows.tolist()])
            seen.add((work.media, index))
            if log.still[work.media]:
                cutter.end_source()
            done += 1
            if progress is not None:
                progress(done, total)
        cutter.end_source()
        for work in chunk:
            if missing := [index for index in work.rows if (work.media, index) not in seen]:
                what = f"{len(missing)} frames {UNDECODED}, the first is {missing[0]}"
                cutter.problems.append(Problem(log.path[work.media], what))


def _works(cutter: Cutter, found: Candidates, log: Log, places: Places) -> Iterator[_Work]:
    starts = np.flatnonzero(np.diff(found.media, prepend=-1)).tolist()
    for start, stop in pairwise([*starts, len(found)]):
        media = int(found.media[start])
        path, changed = places.find(log.media_id[media])
        if path is None:
            cutter.problems.append(Problem(log.path[media], CHANGED if changed else GONE))
            continue
        rows: dict[int, list[int]] = {}
        for row in range(start, stop):
            rows.setdefault(int(found.frame_index[row]), []).append(row)
        yield _Work(media, path, rows)


def _chunks(works: Iterator[_Work], log: Log) -> Iterator[list[_Work]]:
    """A video alone, or several stills that one child decodes."""
    for still, group in groupby(works, key=lambda work: bool(log.still[work.media])):
        size = STILLS_AT_ONCE if still else 1
        while chunk := list(islice(group, size)):
            yield chunk


def _decode(chunk: Sequence[_Work], *, still: bool) -> Iterator[tuple[_Work, int, ImageArray]]:
    if not still:
        work = chunk[0]
        yield from ((work, index, rgb) for index, rgb in grab_frames(work.path, work.rows))
        return
    for place, rgb in grab_stills([work.path for work in chunk]):
        yield chunk[place], 0, rgb


def _facts(found: Candidates, row: int, log: Log) -> Row:
    time_s, score = float(found.time_s[row]), float(found.score[row])
    return {
        "source": log.path[int(found.media[row])],
        "frame_index": int(found.frame_index[row]),
        "time_s": None if np.isnan(time_s) else time_s,
        "detector_score": None if np.isnan(score) else score,
        "iou": float(found.iou[row]),
        "truth_class": found.truth_class[row] or None,
        "kind": KINDS[found.kind[row]],
        "label": found.label[row],
    }
