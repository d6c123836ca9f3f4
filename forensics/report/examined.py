"""What was examined and what was not: files, hours and frames, with every status."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from forensics.report.clock import Clock, clocks
from forensics.report.wording import NBSP, clean, count, hours, percent, plural, size
from forensics.runlog.reader import RunTables, looked_at
from forensics.types import CoverageState, Status

_FINE = (Status.OK, Status.PARTIAL)
_STATES = {
    CoverageState.SCANNED: "examined",
    CoverageState.SAMPLED_OUT: "left out by sampling",
    CoverageState.STATIC: "left out as static",
    CoverageState.UNDECODABLE: "could not be decoded",
    CoverageState.NOT_REACHED: "not reached",
}
MOST_LISTED = 400
NO_CLOCK = Clock(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Fact:
    """One tile: a figure, what it is, and a remark."""

    value: str
    label: str
    remark: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """One part of the frames offered; `part` of 100."""

    state: str
    label: str
    frames: str
    part: float


@dataclass(frozen=True, slots=True)
class FileRow:
    """One input file as listed."""

    path: str
    camera: str
    length: str
    status: str
    reason: str
    frames: str
    suspect: str
    missing: str
    bytes: str
    fine: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """Everything of this section. `troubled` files are listed first, `others` folded away."""

    facts: tuple[Fact, ...]
    shares: tuple[Share, ...]
    unknown_spans: int
    statuses: tuple[tuple[str, str], ...]
    troubled: tuple[FileRow, ...]
    others: tuple[FileRow, ...]
    troubled_left_out: int
    n_others: int
    n_files: int
    complete: bool
    hours_examined: str


@dataclass(slots=True)
class _File:
    """Frames by state, and seconds examined, of one media."""

    frames: Counter[str]
    examined_s: float = 0.0
    unknown: int = 0


def examine(run: RunTables) -> Examined:
    """Count what the run's tables say about every file that was offered."""
    media = run.media.to_pylist()
    files = _coverage(run)
    totals: Counter[str] = Counter()
    for file in files.values():
        totals += file.frames
    # Rows are the truth: every frame that was looked at has one.
    totals[CoverageState.SCANNED] = looked_at(run.frames).num_rows
    statuses = Counter(row["status"] for row in media)
    lost = [row for row in media if row["status"] not in _FINE]
    examined_s = sum(file.examined_s for file in files.values())
    rows = [_file_row(row, files.get(row["media_id"])) for row in media]
    troubled = tuple(row for row in rows if not row.fine)
    others = tuple(row for row in rows if row.fine)
    return Examined(
        facts=_facts(run, files, lost, totals),
        shares=_shares(totals),
        unknown_spans=sum(file.unknown for file in files.values()),
        statuses=tuple((str(k), count(v)) for k, v in sorted(statuses.items())),
        troubled=troubled[:MOST_LISTED],
        troubled_left_out=max(0, len(troubled) - MOST_LISTED),
        others=others[:MOST_LISTED],
        n_others=len(others),
        n_files=len(media),
        complete=run.manifest.get("status") == "complete",
        hours_examined=hours(examined_s) if examined_s else "",
    )


def _unique(media: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with each content once; a file without known content stands for itself."""
    seen: dict[Any, dict[str, Any]] = {}
    for number, row in enumerate(media):
        seen.setdefault(row["media_id"] or number, row)
    return list(seen.values())


def _coverage(run: RunTables) -> dict[Any, _File]:
    files: dict[Any, _File] = defaultdict(lambda: _File(Counter()))
    timed = clocks(run)
    for row in run.coverage.to_pylist():
        file = files[row["media_id"] or row["path"]]
        if row["n_frames"] is None:
            file.unknown += 1
        else:
            file.frames[row["state"]] += row["n_frames"]
        span = (row["start_time_s"], row["stop_time_s"])
        if row["state"] == CoverageState.SCANNED and None not in span:
            clock = timed.get(row["media_id"], NO_CLOCK)
            file.examined_s += clock.recorded(*span)
    for media_id, clock in timed.items():
        if media_id in files:
            files[media_id].examined_s += clock.step_s  # the last frame lasts as the others do
    return files


def _facts(
    run: RunTables, files: Mapping[Any, _File], lost: list[dict[str, Any]], totals: Counter[str]
) -> tuple[Fact, ...]:
    unique = _unique(run.media.to_pylist())
    lengths = [_length(row, files) for row in unique if row["kind"] != "still"]
    stills = len(unique) - len(lengths)
    unknown = lengths.count(0.0)
    offered, examined_s = sum(lengths) or None, sum(file.examined_s for file in files.values())
    n_frames, suspect, fine = 0, 0, 0
    for batch in map(looked_at, run.frames.select(["suspect", "status"]).to_batches()):
        n_frames += batch.num_rows
        suspect += pc.sum(batch["suspect"]).as_py() or 0
        fine += pc.sum(pc.equal(batch["status"], "ok")).as_py() or 0
    failed = n_frames - fine
    remark = f"{plural(unknown, 'file')} of unknown length not counted" if unknown else ""
    if stills:
        remark = "; ".join(filter(None, [remark, f"and {plural(stills, 'still image')}"]))
    unread = totals[CoverageState.UNDECODABLE] + failed
    out = totals[CoverageState.SAMPLED_OUT] + totals[CoverageState.STATIC]
    return (
        Fact(hours(offered), "of footage offered", remark or f"in {plural(len(unique), 'file')}"),
        Fact(hours(examined_s or None), "examined", plural(n_frames, "frame")),
        Fact(
            count(suspect), "suspect frame" if suspect == 1 else "suspect frames",
            f"of damaged footage; {percent(suspect / n_frames)} of those examined"
            if suspect else "no sign of damage in what was examined",
            "warn" if suspect else "",
        ),
        Fact(
            count(len(lost)), "unreadable file" if len(lost) == 1 else "unreadable files",
            f"and {plural(unread, 'frame')} that could not be decoded or processed"
            if unread else "no frame is known to be missing",
            "bad" if lost or unread else "",
        ),
        Fact(count(out), "frames left out", _sampling(run), "warn" if out else ""),
    )  # fmt: skip


def _length(row: dict[str, Any], files: Mapping[Any, _File]) -> float:
    """Seconds of a file: what its header says, or what was examined; 0 where neither is known."""
    file = files.get(row["media_id"])
    return max(row["duration_s"] or 0.0, file.examined_s if file else 0.0)


def _sampling(run: RunTables) -> str:
    sampling = run.manifest.get("sampling") or {}
    said = []
    step = sampling.get("frame_step") or 1
    if sampling.get("time_step_s"):
        said.append(f"by sampling: one frame every {sampling['time_step_s']:g}{NBSP}s was examined")
    elif sampling.get("keyframes_only"):
        said.append("by sampling: only keyframes were examined")
    elif step > 1:
        said.append(f"by sampling: 1 frame in {step} was examined")
    if static := sampling.get("static"):
        said.append(
            "as static: changed by less than "
            f"{static['threshold']:g}{NBSP}of{NBSP}255 grey levels since the last frame examined, "
            f"and that at most {static['refresh_s']:g}{NBSP}s before"
        )
    return "; ".join(said) or "no sampling was asked"


def _shares(totals: Counter[str]) -> tuple[Share, ...]:
    whole = sum(totals.values())
    return tuple(
        Share(str(state), label, count(totals[state]), 100 * totals[state] / whole)
        for state, label in _STATES.items()
        if whole and totals[state]
    )


def _file_row(row: dict[str, Any], file: _File | None) -> FileRow:
    frames = file.frames if file else Counter()
    missing = [
        f"{count(frames[state])} {label}"
        for state, label in _STATES.items()
        if state != CoverageState.SCANNED and frames[state]
    ]
    if file and file.unknown:
        missing.append(f"{plural(file.unknown, 'span')} of unknown length")
    suspect = row["frames_suspect"] or 0
    return FileRow(
        path=row["path"],
        camera=row["camera_id"] or row["path"],
        length="still image" if row["kind"] == "still" else hours(row["duration_s"]),
        status=row["status"],
        reason=clean(row["reason"] or ""),
        frames=count(frames[CoverageState.SCANNED]),
        suspect=count(suspect),
        missing=", ".join(missing),
        bytes=size(row["size_bytes"]),
        fine=row["status"] == Status.OK and not suspect,
    )
