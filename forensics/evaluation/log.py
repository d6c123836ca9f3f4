"""A run's frames and detections as plain arrays, ordered for evaluation.

M media (unique content), F frame rows, D detections. Only frames with status `ok` count as
processed; detections of other frames are left out. Static frames were not looked at: as with what
sampling leaves out, the coverage counts them, and they are no rows here. Boxes stay in the run
until asked for. Row numbers are int32: ten million detections then fit in half the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forensics.errors import RunLogError
from forensics.evaluation import kernels
from forensics.runlog.parts import PartTable
from forensics.runlog.reader import RunTables, looked_at

Ints = NDArray[np.signedinteger[Any]]  # int64 where nothing else is said
Rows = NDArray[np.int32]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
_XYXY = ("x_min", "y_min", "x_max", "y_max")
_FRAME_COLUMNS = ("media_id", "frame_index", "time_s", "status", "suspect")
_DETECTION_COLUMNS = (
    "media_id", "frame_index", "detection_index", "detector_score", "target_score",
)  # fmt: skip
MOST = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Arrays of one run.

    Media: `media_id`, `path` (first path of that content), `camera` int64 (M,) into
    `camera_names`, `width`/`height` int64 (M,), 0 when unknown, `still` bool (M,); `aliases` maps
    every logged path to its media. Frames, ordered by media then index: `frame_media`,
    `frame_index` int32 (F,), `time_s` float64 (F,), NaN without a clock, `ok`, `suspect` bool
    (F,), `media_start` int64 (M + 1,) row offsets. Detections, ordered by frame then descending
    detector score (ties: lower detection index first): `det_frame` int32 (D,) row of its frame,
    `det_start` int32 (F + 1,), `score` and `target` float32 (D,), target NaN when not
    classified, `det_row` int32 (D,) row in `table`, None where that is the detection's number.
    """

    media_id: tuple[str, ...]
    path: tuple[str, ...]
    camera_names: tuple[str, ...]
    aliases: dict[str, int]
    camera: Ints
    width: Ints
    height: Ints
    still: Bools
    frame_media: Rows
    frame_index: Rows
    time_s: Floats
    ok: Bools
    suspect: Bools
    media_start: Ints
    det_frame: Rows
    det_start: Rows
    det_row: Rows | None
    score: Scores
    target: Scores
    table: PartTable | pa.Table

    def boxes(self, detections: Ints) -> Scores:
        """Boxes of the given detections: float32 (n, 4), source pixels, half-open."""
        rows = self.columns(_XYXY, detections)
        return np.stack([_numpy(rows[name], np.float32) for name in _XYXY], axis=1)

    def count(self, mask: Bools) -> NDArray[np.int64]:
        """How many frames of each media are in the mask (F,): int64 (M,)."""
        spans = zip(self.media_start[:-1].tolist(), self.media_start[1:].tolist(), strict=True)
        return np.array([np.count_nonzero(mask[low:high]) for low, high in spans], np.int64)

    def rows(self, detections: Ints) -> Ints:
        """Rows of the given detections in the detections table."""
        return detections if self.det_row is None else self.det_row[detections]

    def columns(self, names: Sequence[str], detections: Ints) -> pa.Table:
        """Columns of the detections table at the given detections."""
        return self.table.select(list(names)).take(pa.array(self.rows(detections)))


def read_log(run: RunTables) -> Log:
    """Lay a run out as arrays; fails where rows refer to frames or media that are not there.

    The tables are read in batches, and of each only what is needed: 20 bytes of a frame and 16 of
    a detection are kept.
    """
    media = _media(run.media)
    codes = {name: code for code, name in enumerate(media["media_id"])}
    frames = _frames(run.frames, codes)
    frame_media, ok = frames["frame_media"], frames["ok"]
    media_start = np.searchsorted(frame_media, np.arange(len(codes) + 1)).astype(np.int64)
    detections = _detections(run.detections, codes, frames["frame_index"], media_start, ok)
    return Log(
        **media,
        **frames,
        **detections,
        media_start=media_start,
        det_start=kernels.group_starts(detections["det_frame"], len(ok)),
        table=run.detections,
    )


def _frames(table: PartTable | pa.Table, codes: dict[str, int]) -> dict[str, Any]:
    _check_size(table, "frames")
    columns = {
        "frame_media": np.empty(table.num_rows, np.int32),
        "frame_index": np.empty(table.num_rows, np.int32),
        "time_s": np.empty(table.num_rows, np.float64),
        "ok": np.empty(table.num_rows, np.bool_),
        "suspect": np.empty(table.num_rows, np.bool_),
    }
    stop = 0
    for batch in map(looked_at, table.select(list(_FRAME_COLUMNS)).to_batches()):
        start, stop = stop, stop + batch.num_rows
        index = _numpy(batch["frame_index"], np.int64)
        if len(index) and not 0 <= index.min() <= index.max() <= MOST:
            raise RunLogError(f"the run has a frame index beyond {MOST}; run `forensics verify`")
        columns["frame_media"][start:stop] = _codes(batch["media_id"], codes, "frames")
        columns["frame_index"][start:stop] = index
        columns["time_s"][start:stop] = _numpy(batch["time_s"], np.float64)
        columns["ok"][start:stop] = _truth(pc.equal(batch["status"], "ok"))
        columns["suspect"][start:stop] = _truth(batch["suspect"])
    columns = {name: column[:stop] for name, column in columns.items()}
    media, index = columns["frame_media"], columns["frame_index"]
    if not _is_ordered(media, index):
        order = np.lexsort((index, media))
        columns = {name: column[order] for name, column in columns.items()}
        if not _is_ordered(columns["frame_media"], columns["frame_index"]):
            raise RunLogError("the run lists a frame twice; run `forensics verify` on it")
    return columns


def _check_size(table: PartTable | pa.Table, name: str) -> None:
    if table.num_rows > MOST:
        raise RunLogError(
            f"the run has more than {MOST} {name}: too many to judge at once; scan the footage "
            "into several runs"
        )


def _media(table: pa.Table) -> dict[str, Any]:
    """Columns of the media, each content once, in the order of the table.

    A file that could not even be hashed goes by its path: what truth says of it still counts.
    """
    rows = table.select(["media_id", "path", "camera_id", "width", "height", "kind"]).to_pylist()
    first: dict[str, dict[str, Any]] = {}
    aliases: dict[str, str] = {}
    for row in rows:
        identity = row["path"] if row["media_id"] is None else row["media_id"]
        first.setdefault(identity, row)
        aliases[row["path"]] = identity
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
    table: PartTable | pa.Table,
    codes: dict[str, int],
    frame_index: Rows,
    media_start: Ints,
    ok: Bools,
) -> dict[str, Any]:
    _check_size(table, "detections")
    frame, number = np.empty(table.num_rows, np.int32), np.empty(table.num_rows, np.int32)
    score, target = np.empty(table.num_rows, np.float32), np.empty(table.num_rows, np.float32)
    stop = 0
    for batch in table.select(list(_DETECTION_COLUMNS)).to_batches():
        start, stop = stop, stop + batch.num_rows
        media = _codes(batch["media_id"], codes, "detections")
        index = _numpy(batch["frame_index"], np.int64)
        frame[start:stop] = _frame_rows(media, index, frame_index, media_start)
        number[start:stop] = _numpy(batch["detection_index"], np.int32)
        score[start:stop] = _numpy(batch["detector_score"], np.float32)
        target[start:stop] = _numpy(batch["target_score"], np.float32)
    if np.any(np.isnan(score)):
        raise RunLogError("the run has detections without a detector score; run `forensics verify`")
    rows, kept = None, ok[frame]
    if not _is_ranked(frame, score, number) or not kept.all():
        rows = np.lexsort((number, -score, frame)).astype(np.int32)
        rows = rows[kept[rows]]
        frame, score, target = frame[rows], score[rows], target[rows]
    return {"det_frame": frame, "det_row": rows, "score": score, "target": target}


def _frame_rows(media: Rows, index: Ints, frame_index: Rows, media_start: Ints) -> Rows:
    """Frame row int32 of each (media, index); fails where there is no such frame."""
    rows = np.empty(len(index), np.int32)
    for code in np.unique(media).tolist():
        here = media == code
        first, own = int(media_start[code]), frame_index[media_start[code] : media_start[code + 1]]
        place = np.searchsorted(own, index[here])
        place[place == len(own)] = 0
        if not len(own) or np.any(own[place] != index[here]):
            raise RunLogError("the run has detections of unlisted frames; run `forensics verify`")
        rows[here] = first + place
    return rows


def _is_ranked(frame: Rows, score: Scores, number: Rows) -> bool:
    same = frame[1:] == frame[:-1]
    fine = frame[1:] > frame[:-1]
    fine |= same & (score[1:] < score[:-1])
    same &= score[1:] == score[:-1]
    fine |= same & (number[1:] > number[:-1])
    return bool(fine.all())


def _is_ordered(media: Rows, index: Rows) -> bool:
    fine = media[1:] > media[:-1]
    fine |= (media[1:] == media[:-1]) & (index[1:] > index[:-1])
    return bool(fine.all())


def _codes(column: pa.Array, codes: dict[str, int], table: str) -> Rows:
    """Media numbers of a (possibly dictionary-encoded) `media_id` column."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    names = [codes.get(name, -1) for name in encoded.dictionary.to_pylist()]
    lookup = np.array([*names, -1], np.int32)
    found = lookup[_numpy(encoded.indices, np.int64, missing=len(names))]
    if np.any(found < 0):
        raise RunLogError(f"the run's {table} name unlisted media; run `forensics verify` on it")
    return np.asarray(found, np.int32)


def _numpy(column: Any, dtype: Any, missing: float = np.nan) -> NDArray[Any]:
    if column.null_count:
        column = pc.fill_null(column, pa.scalar(missing, column.type))
    return np.asarray(column.to_numpy(zero_copy_only=False)).astype(dtype, copy=False)


def _truth(column: pa.Array) -> Bools:
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), np.bool_)
