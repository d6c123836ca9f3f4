"""The footage that two runs share, found by content; what only one has is listed, not judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forensics.errors import ForensicsError
from forensics.runlog.reader import RunTables, looked_at

UNREAD = "could not be read"
OTHER_FRAMES = "the two runs processed different frames of it"


@dataclass(frozen=True, slots=True)
class CommonFootage:
    """Both runs cut down to the media that they share frame by frame.

    `left_out` has one row per file that takes no part: `path`, `run` (a, b or both), `reason`.
    """

    a: RunTables
    b: RunTables
    media: int
    left_out: tuple[dict[str, str], ...]


def common_footage(a: RunTables, b: RunTables) -> CommonFootage:
    """Match media by SHA-256, and their processed frames by index. Raises ForensicsError."""
    in_a, in_b = _frames_of(a), _frames_of(b)
    both = in_a.keys() & in_b.keys()
    if not both:
        raise ForensicsError(
            "the two runs share no footage (media are matched by content); compare runs over the "
            "same files"
        )
    same = {media_id for media_id in both if _equal(in_a[media_id], in_b[media_id])}
    if not same:
        raise ForensicsError(
            "the two runs processed different frames of every file; scan both with the same "
            "--frame-sample, --time-sample and --skip-static"
        )
    left_out = [*_left_out(a, "a", both), *_left_out(b, "b", both)]
    paths = _paths(a)
    left_out += [
        {"path": paths[media_id], "run": "both", "reason": OTHER_FRAMES}
        for media_id in sorted(both - same, key=lambda media_id: paths[media_id])
    ]
    return CommonFootage(restrict(a, same), restrict(b, same), len(same), tuple(left_out))


def restrict(run: RunTables, media_ids: set[str]) -> RunTables:
    """The run as if it had only these media."""
    if media_ids >= set(_paths(run)) and not pc.any(pc.is_null(run.media["media_id"])).as_py():
        return run
    wanted = pa.array(sorted(media_ids), pa.string())

    def part(table: pa.Table) -> pa.Table:
        names = table["media_id"].cast(pa.string())
        return table.filter(pc.is_in(names, value_set=wanted))

    return replace(
        run,
        media=part(run.media),
        coverage=part(run.coverage),
        frames=part(run.frames),
        detections=part(run.detections),
    )


def _frames_of(run: RunTables) -> dict[str, Any]:
    """Index and soundness of the frames of every media that has any: (2, n) int64."""
    columns = ["media_id", "frame_index", "status"]
    frames = looked_at(run.frames).select(columns).to_pandas()
    frames["ok"] = (frames["status"] == "ok").astype(np.int64)
    frames = frames.sort_values("frame_index", kind="stable")
    groups = frames.groupby("media_id", sort=False, observed=True)
    found = {str(m): part[["frame_index", "ok"]].to_numpy(np.int64).T for m, part in groups}
    listed = _paths(run)
    empty = np.zeros((2, 0), np.int64)
    return {media_id: found.get(media_id, empty) for media_id in listed}


def _equal(first: Any, second: Any) -> bool:
    return bool(np.array_equal(first, second))


def _paths(run: RunTables) -> dict[str, str]:
    """First path of every media with content."""
    paths: dict[str, str] = {}
    for row in run.media.select(["media_id", "path"]).to_pylist():
        if row["media_id"] is not None:
            paths.setdefault(row["media_id"], row["path"])
    return paths


def _left_out(run: RunTables, name: str, both: set[str]) -> list[dict[str, str]]:
    rows = run.media.select(["media_id", "path", "reason"]).to_pylist()
    other = "b" if name == "a" else "a"
    return [
        {
            "path": row["path"],
            "run": name,
            "reason": f"{UNREAD}: {row['reason'] or 'no reason given'}"
            if row["media_id"] is None
            else f"not in run {other}",
        }
        for row in rows
        if row["media_id"] not in both
    ]
