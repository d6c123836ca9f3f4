"""Decode one unit into pipeline items: batches of frames, segment ends, file ends.

Whatever happens to the decoder, every file of the unit comes to exactly one end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from forensics.cascade.pipeline import DEPTH
from forensics.footage.protocol import DecodeRequest
from forensics.footage.reader import Drain, Ended, FrameReader, Opened, SegmentStart, StillDone
from forensics.scan.events import Drained, FileDone, Frames, SegmentDone, SegmentDropped, Token
from forensics.scan.plan import CHANGED, VANISHED, Identified, change_since_found
from forensics.scan.rows import coverage_row, header_facts, media_row
from forensics.types import CoverageState, Frame, StaticFrame, Status, StreamInfo

Item = tuple[Token, tuple[Frame, ...]]
StartReader = Callable[[DecodeRequest], FrameReader]
RETRIES = 1


@dataclass
class _Segment:
    """The segment being decoded."""

    number: int
    start_index: int
    start_s: float | None
    sent: int = 0
    passed_over: int = 0
    last_index: int = -1
    last_s: float | None = None
    batch: list[Frame] = field(default_factory=list)
    static: list[StaticFrame] = field(default_factory=list)


class VideoDecoding:
    """Decodes one video; `first_segment` and later ones are sent."""

    def __init__(self, work: Identified, request: DecodeRequest, batch: int) -> None:
        self._file = work.unit.inputs[0]
        self._media_id = work.source_id
        self._request = request
        self._batch = batch
        self._info: StreamInfo | None = None
        self._segment: _Segment | None = None
        self._resume_at = request.first_segment
        self._decoded_to = 0

    def items(self, reader: FrameReader, start: StartReader) -> Iterator[Item]:
        """Yield the items of the video; a crashed decoder is started once more by `start`."""
        for attempt in range(RETRIES + 1):
            ended = None
            with reader:
                for event in reader.events():
                    if isinstance(event, Ended):
                        ended = event
                    else:
                        yield from self._take(event, reader)
                assert ended is not None
                if ended.status is not Status.CRASHED or attempt == RETRIES:
                    yield from self._finish(ended, reader)
                    return
                if self._segment is not None:
                    yield SegmentDropped(self._media_id, self._segment.number), ()
                    self._resume_at = max(self._resume_at, self._segment.number)
                    self._segment = None
                else:
                    yield SegmentDropped(self._media_id, self._resume_at), ()
            reader = start(_from_segment(self._request, self._resume_at))

    def _take(self, event: Any, reader: FrameReader) -> Iterator[Item]:
        if isinstance(event, Opened):
            self._info = event.info
        elif isinstance(event, SegmentStart):
            yield from self._begin(event, reader)
        elif isinstance(event, Frame):
            yield from self._add(event, reader)
        elif isinstance(event, StaticFrame) and self._segment is not None:
            self._segment.static.append(event)
            self._segment.passed_over += 1
            self._segment.last_index, self._segment.last_s = event.index, event.time_s
        elif isinstance(event, Drain):
            if self._segment is not None and self._segment.batch:
                yield self._flush(self._segment, reader)
            yield from [(Drained(), ())] * DEPTH

    def _begin(self, event: SegmentStart, reader: FrameReader) -> Iterator[Item]:
        start_s = self._seconds(event.pts)
        yield from self._close_segment(reader, event.index, start_s)
        self._decoded_to = max(self._decoded_to, event.index)
        self._segment = None
        if event.number >= self._resume_at:
            self._segment = _Segment(event.number, event.index, start_s)

    def _add(self, frame: Frame, reader: FrameReader) -> Iterator[Item]:
        segment = self._segment
        if segment is None:  # only a decoder gone wild sends one
            reader.release(frame)
            return
        segment.batch.append(frame)
        segment.sent += 1
        segment.last_index, segment.last_s = frame.index, frame.time_s
        if len(segment.batch) >= held_frames(self._batch, reader):
            yield self._flush(segment, reader)

    def _flush(self, segment: _Segment, reader: FrameReader) -> Item:
        frames, segment.batch = tuple(segment.batch), []
        static, segment.static = tuple(segment.static), []
        return Frames(reader, (self._media_id,), False, frames, static), frames

    def _close_segment(
        self,
        reader: FrameReader,
        stop_index: int,
        stop_s: float | None,
        files: tuple[dict[str, Any], ...] = (),
    ) -> Iterator[Item]:
        segment = self._segment
        if segment is None:
            return
        if segment.batch or segment.static:
            yield self._flush(segment, reader)
        coverage = self._coverage(segment, stop_index, stop_s)
        footage_s = max(0.0, (stop_s or 0.0) - (segment.start_s or 0.0))
        media_id = self._media_id
        yield SegmentDone(media_id, segment.number, media_id, coverage, footage_s, files), ()

    def _coverage(
        self, segment: _Segment, stop_index: int, stop_s: float | None
    ) -> list[dict[str, Any]]:
        """What became of the segment's frames: one row for each state that there is."""
        sampling, static = self._request.sampling, segment.passed_over
        left_out = stop_index - segment.start_index - segment.sent - static
        level = sampling.static.threshold if sampling.static is not None else 0.0
        counts = {
            CoverageState.SCANNED: (segment.sent, ""),
            CoverageState.STATIC: (
                static,
                f"changed by less than {level:g} of 255 grey levels since the last frame processed",
            ),
            CoverageState.SAMPLED_OUT: (
                left_out,
                "only keyframes were asked for" if sampling.keyframes_only else "",
            ),
        }
        return [
            coverage_row(
                self._media_id,
                self._file.relative,
                segment.number,
                state,
                n_frames=count,
                frames=(segment.start_index, stop_index),
                times_s=(segment.start_s, stop_s),
                reason=reason,
            )
            for state, (count, reason) in counts.items()
            if count
        ]

    def _finish(self, ended: Ended, reader: FrameReader) -> Iterator[Item]:
        change = change_since_found(self._file)
        retry = change == VANISHED and ended.status is not Status.OK
        if retry and self._segment is not None:  # its disk may be back next time
            yield SegmentDropped(self._media_id, self._segment.number), ()
            self._segment = None
        segment, facts = self._segment, ended.facts
        seen = max(self._decoded_to, segment.last_index + 1 if segment is not None else 0)
        decoded = seen if retry else max(seen, facts.get("frames_decoded", 0))
        last_s = self._seconds(facts.get("last_pts"))
        if last_s is None and segment is not None:
            last_s = segment.last_s
        row = self._row(ended, change, decoded)
        row["_coverage"] = self._rest(ended, decoded, last_s)
        # In one commit with the last segment: a resumed scan sees both or neither.
        yield from self._close_segment(reader, decoded, last_s, () if retry else (row,))
        yield FileDone(row, final=not retry, size_bytes=self._file.size_bytes), ()

    def _row(self, ended: Ended, change: str, decoded: int) -> dict[str, Any]:
        status, facts = ended.status, ended.facts
        if (status in {Status.UNREADABLE, Status.REFUSED} and decoded) or (
            status is Status.OK and change == CHANGED
        ):
            status = Status.PARTIAL
        return media_row(
            self._file,
            self._media_id,
            **header_facts(self._info, facts.get("rotation", 0)),
            frames_decoded=decoded,
            frames_suspect=facts.get("frames_suspect"),
            interlaced=facts.get("interlaced"),
            vfr=facts.get("vfr"),
            status=str(status),
            reason="; ".join(filter(None, (ended.reason, change))),
        )

    def _rest(self, ended: Ended, decoded: int, last_s: float | None) -> list[dict[str, Any]]:
        """What of the file was not read; `n_frames` is what the header leads us to expect."""
        facts, unread = ended.facts, CoverageState.UNDECODABLE
        rows = []
        if lost := facts.get("frames_lost", 0):  # somewhere within
            rows.append(self._gap(unread, lost, (0, decoded), (None, None), ended.reason))
        missing = facts.get("frames_missing", self._promised_after(decoded))
        if missing != 0 or not decoded:
            end_s = self._header_end_s()
            rows.append(self._gap(unread, missing, (decoded, None), (last_s, end_s), ended.reason))
        for _ in range(facts.get("other_streams", 0)):
            state = CoverageState.NOT_REACHED
            reason = "another stream of the file: only its first video stream is scanned"
            rows.append(self._gap(state, None, (None, None), (None, None), reason))
        return rows if ended.status is not Status.OK else []

    def _gap(
        self,
        state: CoverageState,
        n_frames: int | None,
        frames: tuple[int | None, int | None],
        times_s: tuple[float | None, float | None],
        reason: str,
    ) -> dict[str, Any]:
        return coverage_row(
            self._media_id,
            self._file.relative,
            None,
            state,
            n_frames=n_frames,
            frames=frames,
            times_s=times_s,
            reason=reason,
        )

    def _promised_after(self, decoded: int) -> int | None:
        """Frames after those decoded, by the header's claim; None when it makes none."""
        promised = self._info.frames_header if self._info is not None else None
        return None if promised is None else max(0, promised - decoded)

    def _header_end_s(self) -> float | None:
        if self._info is None or self._info.duration_s is None:
            return None
        return (self._info.start_time_s or 0.0) + self._info.duration_s

    def _seconds(self, pts: int | None) -> float | None:
        if pts is None or self._info is None:
            return None
        return float(pts * self._info.time_base)


class StillsDecoding:
    """Decodes a chunk of stills; each is a medium of one frame."""

    def __init__(self, work: Identified, request: DecodeRequest, batch: int) -> None:
        self._files = work.unit.inputs
        self._hashes = work.hashes
        self._source_id = work.source_id
        self._request = request
        self._batch = batch
        self._infos: dict[int, StreamInfo] = {}
        self._held: list[Frame] = []
        self._open_item: int | None = None
        self._left = list(range(len(self._hashes)))
        self._crashes: dict[int, int] = {}
        self._rows: list[FileDone] = []
        self._scanned: list[int] = []
        self._suspect: set[int] = set()

    def items(self, reader: FrameReader, start: StartReader) -> Iterator[Item]:
        while True:
            with reader:
                ended = None
                for event in reader.events():
                    if isinstance(event, Ended):
                        ended = event
                    else:
                        yield from self._take(event, reader)
                if self._held:
                    yield self._flush(reader)
                assert ended is not None
                self._blame(ended)
                if not self._left:
                    break
            reader = start(_only(self._request, tuple(self._left)))
        yield from self._finish()

    def _take(self, event: Any, reader: FrameReader) -> Iterator[Item]:
        if isinstance(event, Opened):
            self._infos[event.item], self._open_item = event.info, event.item
        elif isinstance(event, Frame):
            if event.index not in self._left or event.index in self._scanned:
                reader.release(event)  # only a decoder gone wild sends one
                return
            self._held.append(event)
            self._scanned.append(event.index)
            if event.suspect:
                self._suspect.add(event.index)
            if len(self._held) >= held_frames(self._batch, reader):
                yield self._flush(reader)
        elif isinstance(event, Drain):
            if self._held:
                yield self._flush(reader)
            yield from [(Drained(), ())] * DEPTH
        elif isinstance(event, StillDone):
            self._end(event.item, event.status, event.reason, event.rotation, event.left_out)

    def _flush(self, reader: FrameReader) -> Item:
        frames, self._held = tuple(self._held), []
        return Frames(reader, self._hashes, True, frames), frames

    def _blame(self, ended: Ended) -> None:
        """A decoder that died died on the first picture without an end; try that once more."""
        if not self._left:
            return
        item = self._left[0]
        self._crashes[item] = self._crashes.get(item, 0) + 1
        hopeless = self._crashes[item] > RETRIES or ended.status is Status.TIMEOUT
        if hopeless or item in self._scanned:  # its picture is in the log: not a second time
            status = Status.CRASHED if ended.status is Status.OK else ended.status
            self._end(item, status, ended.reason or "the decoder left it out", 0)

    def _end(
        self, item: int, status: Status, reason: str, rotation: int, left_out: int | None = 0
    ) -> None:
        if item not in self._left:
            return
        self._left.remove(item)
        file, media_id = self._files[item], self._hashes[item]
        scanned = item in self._scanned
        change = change_since_found(file)
        if status is Status.OK and change == CHANGED:
            status = Status.PARTIAL
        reason = "; ".join(filter(None, (reason, change)))
        row = media_row(
            file,
            media_id,
            **header_facts(self._infos.get(item), rotation),
            frames_decoded=int(scanned),
            frames_suspect=int(item in self._suspect),
            interlaced=False,
            status=str(status),
            reason=reason,
        )
        row |= {"duration_s": None, "start_time_s": None, "time_base": None}
        row |= {"frame_rate_header": None, "frames_header": 1}
        rest = self._gap(item, CoverageState.NOT_REACHED, left_out, (1, None), reason)
        unread = self._gap(item, CoverageState.UNDECODABLE, 1, (0, 1), reason)
        row["_coverage"] = [*([] if scanned else [unread]), *([rest] if left_out != 0 else [])]
        final = scanned or change != VANISHED
        self._rows.append(FileDone(row, final=final, size_bytes=file.size_bytes))

    def _gap(
        self,
        item: int,
        state: CoverageState,
        n_frames: int | None,
        frames: tuple[int, int | None],
        reason: str,
    ) -> dict[str, Any]:
        path, media_id = self._files[item].relative, self._hashes[item]
        return coverage_row(
            media_id, path, None, state, n_frames=n_frames, frames=frames, reason=reason
        )

    def _finish(self) -> Iterator[Item]:
        coverage = [
            coverage_row(
                self._hashes[item],
                self._files[item].relative,
                0,
                CoverageState.SCANNED,
                n_frames=1,
                frames=(0, 1),
            )
            for item in self._scanned
        ]
        if coverage:
            first = self._hashes[self._scanned[0]]
            assert first is not None
            # One commit for all: a resumed scan must see the whole chunk as done, or none of it.
            rows = tuple(done.row for done in self._rows if done.final)
            yield SegmentDone(self._source_id, 0, first, coverage, 0.0, rows), ()
        for done in self._rows:
            yield done, ()


def held_frames(batch: int, reader: FrameReader) -> int:
    """Frames per batch, so that those in the pipeline and the next one fit the ring, and one
    slot to decode into is left."""
    return max(1, min(batch, (reader.slots - 1) // (DEPTH + 1)))


def _from_segment(request: DecodeRequest, segment: int) -> DecodeRequest:
    return replace(request, first_segment=segment)


def _only(request: DecodeRequest, items: tuple[int, ...]) -> DecodeRequest:
    return replace(request, wanted=items)
