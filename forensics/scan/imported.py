"""Make a run folder from other tools' detections, so that they can be judged like a scan.

The footage is hashed and decoded, for its frames and their times; no network runs. The run is
made beside its place and moved there when it is whole: an import is never left half done.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from forensics.cascade.pipeline import FrameResult, unclassified
from forensics.errors import RunLogError, TruthError
from forensics.footage.protocol import Sampling
from forensics.footage.reader import DEFAULT_MAX_PIXELS, SILENCE_S
from forensics.runlog.ledger import Ledger
from forensics.runlog.manifest import utc_now, write_manifest
from forensics.runlog.writer import write_json
from forensics.scan.attach import Attached, attach
from forensics.scan.events import FileDone, FileHashed, Frames, SegmentDone, SegmentDropped, Token
from forensics.scan.feed import Feed
from forensics.scan.finish import planned_rows, write_sums, write_tables
from forensics.scan.import_manifest import MAX_LISTED, ImportOptions, describe_import
from forensics.scan.local import Progress, ScanResult
from forensics.scan.recorder import Recorder
from forensics.scan.settings import DEFAULT_SEGMENT_S
from forensics.tiling import WHOLE, Tiling
from forensics.truth.predictions import FramePredictions, Predictions
from forensics.types import Detections, Frame, InputFile


@dataclass(frozen=True)
class Imported:
    """How an import ended: as a scan would, and what boxes could not be taken as written."""

    result: ScanResult
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Decoding:
    """The `DecodeSettings` of an import."""

    imgsz: int = 32
    tiling: Tiling = WHOLE
    views: bool = False  # nobody looks at pictures; the full one is the cheaper
    full: bool = True
    batch: int = 8
    segment_s: float = DEFAULT_SEGMENT_S
    max_pixels: int = DEFAULT_MAX_PIXELS
    silence_s: float = SILENCE_S
    sampling: Sampling = field(default_factory=Sampling)


def import_predictions(
    inputs: Sequence[InputFile],
    base: Path,
    folder: Path,
    predictions: Predictions,
    options: ImportOptions,
    *,
    progress: Progress,
    argv: Sequence[str] = (),
) -> Imported:
    """Make the run folder `folder`, which must be new or empty. Raises ForensicsError."""
    started = time.monotonic()
    manifest = describe_import(predictions, options, base, argv)
    attached = attach(predictions.frames, inputs)
    with _made_beside(folder) as place:
        ledger = Ledger(place, manifest["config_hash"])
        with closing(ledger):
            ledger.plan_media(planned_rows(inputs))
            classes = manifest["cascade"]["detector_classes"]
            work = _Import(place, ledger, attached, classes, options.missing, progress)
            decoding = _Decoding()
            with closing(Feed(inputs, ledger, decoding)) as feed:
                for token, frames in feed.items():
                    work.take(token, frames)
            work.check_all_used()
            media = write_tables(place, ledger, inputs)
        manifest |= {"ended_utc": utc_now(), "status": "complete"}
        manifest["imported"] |= {"problems": work.problems[:MAX_LISTED]}
        manifest["imported"] |= {"n_problems": len(work.problems)}
        write_manifest(place, manifest)
        elapsed_s = time.monotonic() - started
        write_json({"elapsed_s": elapsed_s, "frames": work.frames}, place / "timings.json")
        write_sums(place)
    return Imported(
        ScanResult(folder, media, work.frames, elapsed_s, interrupted=False), tuple(work.problems)
    )


class _Import:
    """Puts detections where a scan puts those of its networks."""

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        attached: Attached,
        classes: Sequence[str],
        missing: str,
        progress: Progress,
    ) -> None:
        self._ledger = ledger
        self._attached = attached
        self._class_id = {name: number for number, name in enumerate(classes)}
        self._missing = missing
        self._progress = progress
        self._recorder = Recorder(folder, ledger, detector_classes=classes, classifier_classes=())
        self._path_of: dict[str, str] = {}
        self._decoded: dict[str, int] = {}
        self._copy_of: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self.frames = 0
        self.problems: list[str] = []

    def take(self, token: Token, frames: Sequence[Frame]) -> None:
        """Take one item of the feed."""
        if isinstance(token, FileHashed):
            self._path_of.setdefault(token.sha256, token.path)
            facts = (token.path, token.size_bytes, token.mtime_ns, token.sha256)
            self._ledger.put_hash(*facts)
        elif isinstance(token, Frames):
            self._add(token, frames)
        elif isinstance(token, SegmentDone):
            self._recorder.commit(token)
            self._progress.segment(token.footage_s)
        elif isinstance(token, SegmentDropped):
            self._recorder.drop()
        elif isinstance(token, FileDone):
            self._end(token)

    def _add(self, token: Frames, frames: Sequence[Frame]) -> None:
        results = []
        for frame in frames:
            media_id = token.media_ids[frame.index if token.stills else 0]
            path = self._path_of[str(media_id)]
            index = 0 if token.stills else frame.index
            found = self._attached[path].get(index)
            if found is None and self._missing == "error":
                raise TruthError(
                    f"{path}: no detections are given for frame {index} (from 0); if the tool "
                    "leaves frames out in which it finds nothing, say --missing empty"
                )
            results.append(self._result(frame, found, f"{path} frame {index}"))
            token.reader.release(frame)
        self._recorder.add(results, token.media_ids, stills=token.stills)
        self.frames += len(results)
        self._progress.frames(len(results))

    def _result(self, frame: Frame, found: FramePredictions | None, where: str) -> FrameResult:
        return unclassified(frame, self._detections(frame, found, where))

    def _detections(self, frame: Frame, found: FramePredictions | None, where: str) -> Detections:
        """Boxes in pixels, cut to the picture; those that have no area there are listed."""
        kept: list[tuple[float, tuple[float, ...], int]] = []
        size = (frame.width, frame.height, frame.width, frame.height)
        for box in found.boxes if found is not None else ():
            scale = size if found is not None and found.normalised else (1, 1, 1, 1)
            pairs = zip(box.xyxy, scale, size, strict=True)
            xyxy = tuple(min(max(v * s, 0.0), float(most)) for v, s, most in pairs)
            x_min, y_min, x_max, y_max = np.asarray(xyxy, np.float32)
            if x_max > x_min and y_max > y_min:
                kept.append((box.score, xyxy, self._class_id[box.label]))
            else:
                self.problems.append(f"{box.where}: box has no area in {where}; left out")
        kept.sort(key=lambda box: -box[0])
        return Detections(
            np.array([xyxy for _, xyxy, _ in kept], np.float32).reshape(-1, 4),
            np.array([score for score, _, _ in kept], np.float32),
            np.array([number for _, _, number in kept], np.int32),
        )

    def _end(self, token: FileDone) -> None:
        self._ledger.put_media(token.row, done=token.final)
        path = token.row["path"]
        self._reasons[path] = str(token.row["reason"])
        self._decoded[path] = token.row["frames_decoded"] or 0
        if original := token.row.get("duplicate_of"):
            self._check_copy(path, original)
        self._progress.file(token.row, token.size_bytes)

    def _check_copy(self, path: str, original: str) -> None:
        """A copy is decoded once, as its original; its own detections must not get lost."""
        self._copy_of[path] = original
        own, taken = self._attached[path], self._attached[original]
        for index, frame in own.items():
            other = taken.get(index)
            if other is None or _content(other) != _content(frame):
                raise TruthError(
                    f"{frame.where}: {path} has the same content as {original}, but frame {index} "
                    "has other detections; give the footage once"
                )

    def check_all_used(self) -> None:
        """Raise where detections lie behind the last frame; list those of unreadable footage."""
        for path, frames in self._attached.items():
            # Stills end together, so that an original may end after its copy.
            count = self._decoded.get(self._copy_of.get(path, path), 0)
            beyond = [frames[index] for index in sorted(frames) if index >= count]
            if not beyond:
                continue
            if self._reasons.get(path):  # damaged or unreadable: its end may be missing
                what = f"{path}: detections of {len(beyond)} frames are left out"
                self.problems.append(f"{what}: {self._reasons[path]}")
                continue
            raise TruthError(
                f"{beyond[0].where}: {path} has {count} frames, and these detections lie behind "
                "the last one; are frames counted from 1, or was another file scanned?"
            )


def _content(frame: FramePredictions) -> Any:
    return frame.normalised, [(box.xyxy, box.score, box.label) for box in frame.boxes]


@contextmanager
def _made_beside(folder: Path) -> Iterator[Path]:
    """A folder to work in, which becomes `folder` if all goes well and vanishes if not."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunLogError(f"{folder} holds other files; choose a new or empty --out")
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
    except OSError as error:
        raise RunLogError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        yield place
        place.chmod(0o755)
        place.replace(folder)
    except OSError as error:
        raise RunLogError(f"cannot write {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
