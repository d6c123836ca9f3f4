"""A run's frames and detections as plain arrays, ordered for evaluation.

M media (unique content), F frame rows, D detections. Only frames with status `ok` count as
processed; detections of other frames are left out. Static frames were not looked at: as with what
sampling leaves out, the coverage counts them, and they are no rows here. Boxes stay in the Arrow
table until asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forensics.errors import RunLogError
from forensics.runlog.reader import RunTables, looked_at

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
_XYXY = ("x_min", "y_min", "x_max", "y_max")


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Arrays of one run.

    Media: `media_id`, `path` (first path of that content), `camera` int64 (M,) into
    `camera_names`, `width`/`height` int64 (M,), 0 when unknown, `still` bool (M,); `aliases` maps
    every logged path to its media. Frames, ordered by media then index: `frame_media`,
    `frame_index` int64 (F,), `time_s` float64 (F,), NaN without a clock, `ok`, `suspect` bool
    (F,), `media_start` int64 (M + 1,) row offsets. Detections, ordered by frame then descending
    detector score (ties: lower detection index first): `det_frame` int64 (D,) row of its frame,
    `det_start` int64 (F + 1,), `score` and `target` float32 (D,), target NaN when not
    classified, `det_row` int64 (D,) row in `table`.
    """

    media_id: tuple[str, ...]
    path: tuple[str, ...]
    camera_names: tuple[str, ...]
    aliases: dict[str, int]
    camera: Ints
    width: Ints
    height: Ints
    still: Bools
    frame_media: Ints
    frame_index: Ints
    time_s: Floats
    ok: Bools
    suspect: Bools
    media_start: Ints
    det_frame: Ints
    det_start: Ints
    det_row: Ints
    score: Scores
    target: Scores
    table: pa.Table

    def boxes(self, detections: Ints) -> Scores:
        """Boxes of the given detections: float32 (n, 4), source pixels, half-open."""
        rows = self.table.select(_XYXY).take(pa.array(self.det_row[detections]))
        return np.stack([_numpy(rows[name], np.float32) for name in _XYXY], axis=1)

    def column(self, name: str, detections: Ints) -> pa.ChunkedArray:
        """One column of the detections table at the given detections."""
        return self.table[name].take(pa.array(self.det_row[detections]))


def read_log(run: RunTables) -> Log:
    """Lay a run out as arrays; fails where rows refer to frames or media that are not there."""
    media = _media(run.media)
    codes = {name: code for code, name in enumerate(media["media_id"])}
    frames = looked_at(run.frames)
    frame_media = _codes(frames["media_id"], codes, "frames")
    frame_index = _numpy(frames["frame_index"], np.int64)
    order = _order(frame_media, frame_index)
    frames = frames if order is None else frames.take(pa.array(order))
    if order is not None:
        frame_media, frame_index = frame_media[order], frame_index[order]
    base = int(frame_index.max(initial=0)) + 1
    frame_key = frame_media * base + frame_index
    if np.any(np.diff(frame_key) <= 0):
        raise RunLogError("the run lists a frame twice; run `forensics verify` on it")
    ok = _equals(frames["status"], "ok")
    detections = _detections(run.detections, codes, base, frame_key, ok)
    count = len(media["media_id"])
    return Log(
        **media,
        frame_media=frame_media,
        frame_index=frame_index,
        time_s=_numpy(frames["time_s"], np.float64),
        ok=ok,
        suspect=_truth(frames["suspect"]),
        media_start=np.searchsorted(frame_media, np.arange(count + 1)).astype(np.int64),
        det_start=np.searchsorted(detections["det_frame"], np.arange(len(ok) + 1)).astype(np.int64),
        table=run.detections,
        **detections,
    )


def _media(table: pa.Table) -> dict[str, Any]:
    """Columns of the media that have content, each content once, in the order of the table."""
    rows = table.select(["media_id", "path", "camera_id", "width", "height", "kind"]).to_pylist()
    first: dict[str, dict[str, Any]] = {}
    aliases: dict[str, str] = {}
    for row in rows:
        if row["media_id"] is not None:
            first.setdefault(row["media_id"], row)
            aliases[row["path"]] = row["media_id"]
    codes = {media_id: code for code, media_id in enumerate(first)}
    cameras = {name: code for code, name in enumerate(dict.fromkeys(map(_camera, first.values())))}
    kept = list(first.values())
    return {
        "media_id": tuple(first),
        "path": tuple(row["path"] for row in kept),
        "camera_names": tuple(cameras),
        "aliases": {path: codes[media_id] for path, media_id in aliases.items()},
        "camera": np.array([cameras[_camera(row)] for row in kept], np.int64),
        "width": np.array([row["width"] or 0 for row in kept], np.int64),
        "height": np.array([row["height"] or 0 for row in kept], np.int64),
        "still": np.array([row["kind"] == "still" for row in kept], np.bool_),
    }


def _camera(row: dict[str, Any]) -> str:
    # A file of unknown camera is a camera of its own: never pool what may not belong together.
    return str(row["camera_id"]) if row["camera_id"] else str(row["path"])


def _detections(
    table: pa.Table, codes: dict[str, int], base: int, frame_key: Ints, ok: Bools
) -> dict[str, Any]:
    key = _codes(table["media_id"], codes, "detections") * base
    index = _numpy(table["frame_index"], np.int64)
    if np.any(index >= base):
        raise RunLogError("the run has detections of unlisted frames; run `forensics verify`")
    key += index
    frame = np.searchsorted(frame_key, key).astype(np.int64)
    frame[frame == len(frame_key)] = 0
    if len(key) and (not len(frame_key) or np.any(frame_key[frame] != key)):
        raise RunLogError("the run has detections of unlisted frames; run `forensics verify`")
    score = _numpy(table["detector_score"], np.float32)
    if np.any(np.isnan(score)):
        raise RunLogError("the run has detections without a detector score; run `forensics verify`")
    number = _numpy(table["detection_index"], np.int64)
    rows = np.arange(len(key), dtype=np.int64)
    if not _is_ranked(frame, score, number):
        rows = np.lexsort((number, -score, frame)).astype(np.int64)
    rows = rows[ok[frame[rows]]]
    target = _numpy(table["target_score"], np.float32)
    return {
        "det_frame": frame[rows],
        "det_row": rows,
        "score": score[rows],
        "target": target[rows],
    }


def _is_ranked(frame: Ints, score: Scores, number: Ints) -> bool:
    step, fall, count = np.diff(frame), np.diff(score), np.diff(number)
    fine = (step > 0) | ((step == 0) & ((fall < 0) | ((fall == 0) & (count > 0))))
    return bool(fine.all())


def _order(media: Ints, index: Ints) -> Ints | None:
    step = np.diff(media)
    if bool(np.all((step > 0) | ((step == 0) & (np.diff(index) > 0)))):
        return None
    return np.lexsort((index, media)).astype(np.int64)


def _codes(column: pa.ChunkedArray, codes: dict[str, int], table: str) -> Ints:
    """Media numbers of a (possibly dictionary-encoded) `media_id` column."""
    parts = []
    for chunk in column.chunks:
        encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        names = [codes.get(name, -1) for name in encoded.dictionary.to_pylist()]
        lookup = np.array([*names, -1], np.int64)
        parts.append(lookup[_numpy(encoded.indices, np.int64, missing=len(names))])
    found = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    if np.any(found < 0):
        raise RunLogError(f"the run's {table} name unlisted media; run `forensics verify` on it")
    return found


def _numpy(column: Any, dtype: Any, missing: float = np.nan) -> NDArray[Any]:
    if column.null_count:
        column = pc.fill_null(column, pa.scalar(missing, column.type))
    return np.asarray(column.to_numpy()).astype(dtype, copy=False)


def _truth(column: pa.ChunkedArray) -> Bools:
    return np.asarray(pc.fill_null(column, False).to_numpy(), np.bool_)


def _equals(column: pa.ChunkedArray, value: str) -> Bools:
    return _truth(pc.equal(column, value))
