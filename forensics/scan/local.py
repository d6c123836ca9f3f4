"""Scan on this machine: units one after the other, the next one prepared meanwhile."""

from __future__ import annotations

import fcntl
import json
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import forensics
from forensics.errors import ForensicsError, RunLogError
from forensics.runlog.ledger import FILE_NAME as LEDGER_NAME
from forensics.runlog.ledger import SIDE_FILES, SUMS_NAME, Ledger, check_nothing_beside, check_whole
from forensics.runlog.manifest import FILE_NAME as MANIFEST_NAME
from forensics.runlog.manifest import (
    end_session,
    read_manifest,
    utc_now,
    with_session,
    write_manifest,
)
from forensics.runlog.parts import read_table
from forensics.runlog.schemas import SCHEMA_VERSION
from forensics.runlog.verify import check_seal
from forensics.runlog.writer import write_json
from forensics.scan.events import FileDone, FileHashed, Frames, SegmentDone, SegmentDropped
from forensics.scan.feed import Feed
from forensics.scan.finish import (
    media_rows,
    planned_rows,
    remove_uncommitted,
    write_sums,
    write_tables,
)
from forensics.scan.plan import KnownFiles
from forensics.scan.recorder import Recorder
from forensics.scan.settings import OpenCascade, ScanSettings, library_versions, open_cascade
from forensics.types import InputFile, Status

TIMINGS_NAME = "timings.json"


class Progress(Protocol):
    """Told what has been done, as it is done."""

    def frames(self, n: int) -> None: ...

    def segment(self, footage_s: float) -> None: ...

    def file(self, row: dict[str, Any], size_bytes: int) -> None: ...


@dataclass(frozen=True)
class ScanResult:
    """How a scan ended: media rows, one per input file; frames processed, and passed over.

    `nothing_to_do`: the run was complete before, and nothing was read or written.
    """

    folder: Path
    media: list[dict[str, Any]]
    frames: int
    elapsed_s: float
    interrupted: bool
    static: int = 0
    nothing_to_do: bool = False

    @property
    def not_scanned(self) -> list[dict[str, Any]]:
        """Rows of files of which some footage was not scanned."""
        return [row for row in self.media if row["status"] != Status.OK]


def scan(
    inputs: Sequence[InputFile],
    base: Path,
    folder: Path,
    settings: ScanSettings,
    *,
    progress: Progress,
    argv: Sequence[str] = (),
    overwrite: bool = False,
    passed_over: Mapping[str, int] | None = None,
) -> ScanResult:
    """Scan `inputs` (paths relative to `base`) into the run folder, or go on with it.

    `passed_over` (ending -> files beside the inputs that are no footage by their name) is recorded.

    KeyboardInterrupt ends the scan after the last committed segment; the state is saved and
    the result says `interrupted`. Raises ForensicsError when nothing more can be done.
    """
    with _locked(folder):
        if not overwrite and (media := _complete(folder, inputs, base, settings)) is not None:
            return ScanResult(folder, media, 0, 0.0, interrupted=False, nothing_to_do=True)
        opened = open_cascade(settings)
        if overwrite:  # not before all else is known to be in order
            _clear(folder)
        facts = {"argv": list(argv), "passed_over": dict(passed_over or {})}
        return _Scan(tuple(inputs), base, folder, settings, progress, facts).run(opened)


class _Scan:
    def __init__(
        self,
        inputs: tuple[InputFile, ...],
        base: Path,
        folder: Path,
        settings: ScanSettings,
        progress: Progress,
        facts: dict[str, Any],
    ) -> None:
        self._inputs = inputs
        self._base = base
        self._folder = folder
        self._settings = settings
        self._progress = progress
        self._facts = facts
        self._frames = self._static = 0
        self._manifest: dict[str, Any] = {}

    def run(self, opened: OpenCascade) -> ScanResult:
        started = time.monotonic()
        earlier = _earlier_manifest(self._folder, self._base)
        check_seal(self._folder)
        ledger = Ledger(self._folder, self._settings.config_hash())
        try:
            with closing(Feed(self._inputs, ledger, self._settings)) as feed:
                # From here on the run is known to be ours to go on with.
                self._begin(ledger, opened, earlier)
                interrupted = self._work_until_stopped(ledger, opened, feed, started)
            status = "partial" if interrupted else "complete"
            media = self._finish(ledger, status, started)
        finally:
            ledger.close()
        check_whole(self._folder)
        write_sums(self._folder)
        elapsed_s = time.monotonic() - started
        return ScanResult(self._folder, media, self._frames, elapsed_s, interrupted, self._static)

    def _begin(
        self, ledger: Ledger, opened: OpenCascade, earlier: dict[str, Any] | None
    ) -> None:
        (self._folder / SUMS_NAME).unlink(missing_ok=True)
        described = _describe(self._settings, opened, self._base, self._facts)
        self._manifest = with_session(described, earlier, started_utc=utc_now())
        write_manifest(self._folder, self._manifest)
        ledger.plan_media(planned_rows(self._inputs))

    def _work_until_stopped(
        self, ledger: Ledger, opened: OpenCascade, feed: Feed, started: float
    ) -> bool:
        """Scan; True when Ctrl-C ended it. After an error the state is saved as well."""
        try:
            self._work(ledger, opened, feed)
        except KeyboardInterrupt:
            return True
        except ForensicsError:
            with suppress(ForensicsError):  # a full disk: the first error says it
                self._finish(ledger, "aborted", started)
            raise
        return False

    def _finish(self, ledger: Ledger, status: str, started: float) -> list[dict[str, Any]]:
        remove_uncommitted(self._folder, ledger)
        media = write_tables(self._folder, ledger, self._inputs)
        self._manifest = end_session(self._manifest, status)
        write_manifest(self._folder, self._manifest)
        elapsed_s = time.monotonic() - started
        session = {"elapsed_s": elapsed_s, "frames": self._frames, "batch": self._settings.batch}
        write_json(_timings(self._folder, session), self._folder / TIMINGS_NAME)
        return media

    def _work(self, ledger: Ledger, opened: OpenCascade, feed: Feed) -> None:
        recorder = Recorder(
            self._folder,
            ledger,
            detector_classes=self._settings.cascade.detector.classes,
            classifier_classes=self._settings.classes,
        )
        for token, results in opened.pipeline.run(feed.items()):
            if isinstance(token, Frames):
                recorder.add(results, token.media_ids, stills=token.stills)
                recorder.add_static(token.static, token.media_ids[0])
                self._static += len(token.static)
                for frame in token.held:
                    token.reader.release(frame)
                self._frames += len(results)
                self._progress.frames(len(results))
            elif isinstance(token, FileHashed):
                ledger.put_hash(token.path, token.size_bytes, token.mtime_ns, token.sha256)
            elif isinstance(token, SegmentDone):
                recorder.commit(token)
                self._progress.segment(token.footage_s)
            elif isinstance(token, SegmentDropped):
                recorder.drop()
            elif isinstance(token, FileDone):
                ledger.put_media(token.row, done=token.final)
                self._progress.file(token.row, token.size_bytes)


def _complete(
    folder: Path, inputs: Sequence[InputFile], base: Path, settings: ScanSettings
) -> list[dict[str, Any]] | None:
    """The media rows of a sealed run in which nothing of `inputs` waits; None: go on with it.

    It is only read, so that a record that was whole stays what it was, to the bit. Raises
    RunLogError when the footage has changed since, or the run is about other footage.
    """
    if not (folder / SUMS_NAME).exists() or not (folder / LEDGER_NAME).exists():
        return None
    check_nothing_beside(folder)
    manifest = _earlier_manifest(folder, base)
    if manifest is None or manifest.get("status") != "complete":
        return None
    with closing(Ledger(folder)) as ledger:
        if ledger.config_hash != settings.config_hash():
            return None
        recorded = ledger.media()
        if not all(_ended(file, recorded.get(file.relative)) for file in inputs):
            return None
        known = KnownFiles(ledger)
        for file in inputs:
            known.is_done(file)
        rows = media_rows(ledger, inputs)[0]
    # Another --camera is something to write down.
    return rows if _cameras(folder) == {row["path"]: row["camera_id"] for row in rows} else None


def _cameras(folder: Path) -> dict[str, str]:
    media = read_table(folder / "media.parquet", columns=["path", "camera_id"])
    return {row["path"]: row["camera_id"] for row in media.to_pylist()}


def _ended(file: InputFile, recorded: tuple[bool, dict[str, Any]] | None) -> bool:
    """Whether another scan would record of a file what is recorded: it is done, or refused."""
    done, row = recorded or (False, {})
    again = (row.get("status"), row.get("reason")) == (Status.REFUSED, file.refused)
    return done or bool(file.refused and again)


def _earlier_manifest(folder: Path, base: Path) -> dict[str, Any] | None:
    """What the run says of itself. Raises RunLogError when it is about other footage."""
    if not (folder / MANIFEST_NAME).exists():
        return None
    manifest = read_manifest(folder)
    if manifest.get("base") != str(base):
        raise RunLogError(
            f"{folder} was made from {manifest.get('base')}, not from {base}; choose another --out"
        )
    return manifest


def _timings(folder: Path, session: dict[str, Any]) -> dict[str, Any]:
    """Seconds and frames of all sessions that came to their end, and of each of them."""
    try:
        kept = json.loads((folder / TIMINGS_NAME).read_bytes())
        before = kept.get("sessions", [kept])
        sessions = [{key: one[key] for key in session} for one in [*before, session]]
        elapsed_s = sum(float(one["elapsed_s"]) for one in sessions)
        frames = sum(int(one["frames"]) for one in sessions)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return session | {"sessions": [session]}  # the first, or nothing that could be read
    return {**session, "elapsed_s": elapsed_s, "frames": frames, "sessions": sessions}


def _describe(
    settings: ScanSettings, opened: OpenCascade, base: Path, facts: dict[str, Any]
) -> dict[str, Any]:
    """The manifest, but for times and status."""
    cascade = settings.cascade
    return {
        "schema": SCHEMA_VERSION,
        "id": settings.config_hash()[:16],
        "product": f"forensics {forensics.__version__}",
        **facts,
        "base": str(base),
        "config_hash": settings.config_hash(),
        "cascade": {
            "name": cascade.name,
            "version": cascade.version,
            "sha256": cascade.sha256,
            "target_classes": list(cascade.target_classes),
            "detector_classes": list(cascade.detector.classes),
            "classifier_classes": list(settings.classes),
            "temperature": cascade.classifier.temperature if cascade.classifier else None,
            "chosen": cascade.chosen_how,
        },
        "models": list(opened.models),
        "engines": [asdict(engine.provenance) for engine in opened.engines],
        "backend": settings.backend,
        "backend_why": settings.backend_why,
        "frames_on": str(settings.frames_on),
        "precision": settings.precision,
        "arithmetic": settings.arithmetic,
        "thresholds": settings.thresholds(),
        "events": asdict(cascade.events),
        "sampling": asdict(settings.sampling),
        "imgsz": settings.imgsz,
        "tiling": asdict(settings.tiling),
        "max_detections": settings.max_detections,
        "segment_s": settings.segment_s,
        "versions": {
            **library_versions(),
            "python": platform.python_version(),
            "platform": platform.platform(),
        },
    }


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the run folder and hold it alone. Raises RunLogError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = {path.name for path in folder.iterdir()} - {".lock"}
        if held and LEDGER_NAME not in held:
            raise RunLogError(f"{folder} holds other files; choose a new or empty --out")
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise RunLogError(f"cannot write to {folder}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunLogError(f"another scan is writing {folder}; wait for it to end") from error
        yield


def _clear(folder: Path) -> None:
    """Remove a run's own files, and nothing else."""
    for name in ("frames", "detections", "evidence"):
        shutil.rmtree(folder / name, ignore_errors=True)
    tables = (MANIFEST_NAME, "media.parquet", "coverage.parquet", TIMINGS_NAME, SUMS_NAME)
    for name in (*tables, *SIDE_FILES, LEDGER_NAME):
        (folder / name).unlink(missing_ok=True)
