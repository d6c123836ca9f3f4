"""A run folder opened for a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from forensics.errors import ForensicsError
from forensics.evaluation.decisions import decisions
from forensics.evaluation.grid import typed
from forensics.evaluation.incidents import incidents
from forensics.evaluation.levels import CASCADE
from forensics.evaluation.prepare import prepare
from forensics.evaluation.rules import point_at, run_rules
from forensics.runlog import reader
from forensics.study import tables
from forensics.study.gallery import Gallery, gallery
from forensics.study.study import Study, known_arm
from forensics.truth.load import load_truth
from forensics.types import OperatingPoint


def open_run(folder: Path | str) -> Run:
    """Open a run folder. Raises RunLogError when anything in it cannot be read as written."""
    return Run(reader.open_run(folder))


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run folder as pandas tables; columns are those of `forensics.runlog.schemas`.

    Thresholds that are not given are those of the scan; no call scans anything again.
    """

    tables: reader.RunTables

    @cached_property
    def media(self) -> pd.DataFrame:
        """One row per input file: how it ended, its frames and times."""
        return self.tables.media.to_pandas()

    @cached_property
    def coverage(self) -> pd.DataFrame:
        """Spans of files: scanned, sampled out, undecodable, not reached."""
        return self.tables.coverage.to_pandas()

    @cached_property
    def frames(self) -> pd.DataFrame:
        """One row per processed frame, with `path` and `camera_id` in front."""
        return tables.with_names(self.tables.frames.to_pandas(), self.tables)

    @cached_property
    def detections(self) -> pd.DataFrame:
        """One row per logged box, in the order of the log, with `path` and `camera_id` in front."""
        return tables.with_names(self.tables.detections.to_pandas(), self.tables)

    @property
    def operating_point(self) -> OperatingPoint:
        """The thresholds that the scan ran with."""
        return self.tables.operating_point

    def decisions(
        self, detector: float | None = None, classifier: float | None = None
    ) -> pd.DataFrame:
        """Detections at or above the detector threshold, and whether each arm raises an alarm."""
        point = point_at(self.tables, detector, classifier)
        judged = decisions(self.tables, None, point)
        return tables.with_boxes(tables.without_truth(judged), self.tables)

    def alerts(
        self, detector: float | None = None, classifier: float | None = None, arm: str = CASCADE
    ) -> pd.DataFrame:
        """Alarms of one arm merged over gaps, one row per alert, without asking any truth."""
        point = point_at(self.tables, detector, classifier)
        return incidents(self.tables, point, arm=known_arm(arm))

    def gallery(self, rows: pd.DataFrame, **options: Any) -> Gallery:
        """Pictures of rows that have a box: decisions, failures; see `Study.gallery`."""
        return gallery(self.tables, rows, **options)

    def against(
        self,
        *truth: Path | str,
        truth_format: str | None = None,
        class_map: dict[str, str] | None = None,
        **rules: Any,
    ) -> Study:
        """Hold the run against truth files or folders, as `forensics evaluate` does.

        `class_map` names a truth class as the run does; `rules` are fields of
        `forensics.evaluation.Rules` (iou, gap_s, collar_s, unlabelled, seed, ...). Raises
        TruthError where truth cannot be read or fits no file of the run.
        """
        if not truth:
            raise ForensicsError("no truth is given; name its files or folders")
        paths = [Path(path) for path in truth]
        labels = load_truth(paths, truth_format)
        chosen = run_rules(self.tables, class_map=class_map, **rules)
        return Study(self, labels, prepare(self.tables, labels, chosen))

    def __repr__(self) -> str:
        manifest, cascade = self.tables.manifest, self.tables.manifest["cascade"]
        point = self.operating_point
        return (
            f"Run {self.tables.folder.name} ({manifest.get('status', 'complete')}): "
            f"{len(self.media):,} files, {self.tables.frames.num_rows:,} frames, "
            f"{self.tables.detections.num_rows:,} detections; cascade {cascade.get('name')} "
            f"{cascade.get('version')}, floor {manifest['thresholds']['floor']:g}, detector "
            f"threshold {typed(point.detector)}, classifier threshold {typed(point.classifier)}"
        )

    def _repr_html_(self) -> str:
        columns = [c for c in ("path", "camera_id", "status") if c in self.media]
        counts = self.detections["path"].value_counts()
        frames = self.frames["path"].value_counts()
        shown = self.media[columns].assign(
            frames=self.media["path"].map(frames).fillna(0).astype(int),
            detections=self.media["path"].map(counts).fillna(0).astype(int),
        )
        return f"<p>{escape(repr(self))}</p>{shown.to_html(index=False, max_rows=20)}"
