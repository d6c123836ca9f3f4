"""Feed the pipeline: inputs in order, the next one hashed and its decoder started meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from forensics.cascade.pipeline import DEPTH
from forensics.footage.protocol import DecodeRequest, Sampling
from forensics.footage.reader import FrameReader
from forensics.runlog.ledger import Ledger
from forensics.scan.decoding import Item, StillsDecoding, VideoDecoding
from forensics.scan.events import FileDone, FileHashed, Token
from forensics.scan.plan import Identified, KnownFiles, Unit, identify, plan_units
from forensics.scan.rows import coverage_row, media_row
from forensics.tiling import Tiling
from forensics.types import CoverageState, InputFile, Status


@dataclass
class _Prepared:
    """A unit ready to decode: facts already known, and the running decoder, if any is needed."""

    tokens: list[Token] = field(default_factory=list)
    decoding: VideoDecoding | StillsDecoding | None = None
    reader: FrameReader | None = None


class DecodeSettings(Protocol):
    """What decoding needs to know; a scan's settings have it all."""

    @property
    def imgsz(self) -> int: ...
    @property
    def tiling(self) -> Tiling: ...
    @property
    def views(self) -> bool: ...
    @property
    def full(self) -> bool: ...
    @property
    def batch(self) -> int: ...
    @property
    def segment_s(self) -> float: ...
    @property
    def sampling(self) -> Sampling: ...
    @property
    def max_pixels(self) -> int: ...
    @property
    def silence_s(self) -> float: ...


class Feed:
    """Produces the pipeline's items. Close it to end the decoders that are still running."""

    def __init__(
        self, inputs: Sequence[InputFile], ledger: Ledger, settings: DecodeSettings
    ) -> None:
        self._settings = settings
        self._known = KnownFiles(ledger)
        self._scanned_as = self._known.originals()
        self._offered = {file.relative for file in inputs}
        self._readers: set[FrameReader] = set()
        self._closed = False
        waiting = [f for f in inputs if self._is_waiting(f)]
        self._refused = [f for f in waiting if f.refused]
        self._units = list(plan_units([f for f in inputs if not f.refused], set(waiting)))
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="prepare")

    def items(self) -> Iterator[Item]:
        for file in self._refused:
            row = media_row(file, None, status=str(Status.REFUSED), reason=file.refused)
            yield FileDone(_with_rest(row), final=False, size_bytes=file.size_bytes), ()
        coming = self._submit(0)
        for number in range(len(self._units)):
            prepared = coming.result()
            coming = self._submit(number + 1)
            yield from ((token, ()) for token in prepared.tokens)
            if prepared.decoding is not None and prepared.reader is not None:
                yield from prepared.decoding.items(prepared.reader, self._start)
                self._readers.difference_update([r for r in list(self._readers) if r.closed])

    def close(self) -> None:
        self._closed = True
        self._helper.shutdown(wait=True, cancel_futures=True)
        for reader in self._readers:
            reader.close()

    def _is_waiting(self, file: InputFile) -> bool:
        if not self._known.is_done(file):
            return True
        media_id, original = self._known.media_id(file), self._known.scanned_as(file)
        if media_id is None:
            return False
        if media_id not in self._scanned_as and original not in self._offered:
            return True  # a copy of what was to be scanned, and is gone: it is scanned itself
        self._scanned_as.setdefault(media_id, original)
        return False

    def _submit(self, number: int) -> Future[_Prepared]:
        if number >= len(self._units):
            return Future()
        return self._helper.submit(self._prepare, self._units[number])

    def _prepare(self, unit: Unit) -> _Prepared:
        """Runs in the helper thread, one unit after the other."""
        prepared = _Prepared()
        files, hashes = [], []
        for file in unit.inputs:
            media_id, problem = identify(file, self._known, lambda: self._closed)
            if media_id is not None:
                facts = (file.relative, file.size_bytes, file.mtime_ns, media_id)
                prepared.tokens.append(FileHashed(*facts))
            ended = self._ended_early(file, media_id, problem)
            if ended is not None:
                prepared.tokens.append(ended)
            elif media_id is not None:
                files.append(file)
                hashes.append(media_id)
        if files and not self._closed:
            work = Identified(Unit(tuple(files), unit.stills), tuple(hashes))
            request = self._request(work)
            kind = StillsDecoding if unit.stills else VideoDecoding
            prepared.decoding = kind(work, request, self._settings.batch)
            prepared.reader = self._start(request)
        return prepared

    def _ended_early(self, file: InputFile, media_id: str | None, problem: str) -> FileDone | None:
        """The end of a file that needs no decoding: unreadable, empty, or scanned already."""
        if media_id is None or file.size_bytes == 0:
            reason = problem or "the file is empty"
            row = media_row(file, media_id, status=str(Status.UNREADABLE), reason=reason)
            final = media_id is not None  # a file that vanished may be back next time
            return FileDone(_with_rest(row), final=final, size_bytes=file.size_bytes)
        original = self._scanned_as.setdefault(media_id, file.relative)
        if original == file.relative:
            return None
        row = media_row(file, media_id, duplicate_of=original)
        return FileDone(row, final=True, size_bytes=file.size_bytes)

    def _request(self, work: Identified) -> DecodeRequest:
        settings = self._settings
        return DecodeRequest(
            paths=tuple(str(f.path) for f in work.unit.inputs),
            stills=work.unit.stills,
            imgsz=settings.imgsz,
            tiling=settings.tiling,
            views=settings.views,
            full=settings.full,
            max_pixels=settings.max_pixels,
            segment_s=settings.segment_s,
            sampling=settings.sampling,
            first_segment=self._known.segments.get(work.source_id, 0),
        )

    def _start(self, request: DecodeRequest) -> FrameReader:
        slots = (DEPTH + 1) * self._settings.batch + 1
        reader = FrameReader(request, slots=slots, silence_s=self._settings.silence_s)
        self._readers.add(reader)
        return reader


def _with_rest(row: dict[str, Any]) -> dict[str, Any]:
    """Add the coverage row of a file of which nothing was read."""
    state = CoverageState.UNDECODABLE
    media_id, path, reason = row["media_id"], row["path"], row["reason"]
    rest = coverage_row(media_id, path, None, state, n_frames=None, reason=reason)
    return row | {"_coverage": [rest]}
