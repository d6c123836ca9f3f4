"""The last steps of mining: thin across files, write the table, give the folder its name."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import forensics
from forensics.errors import TrainingError
from forensics.training.candidates import Classes
from forensics.training.crops import (
    MANIFEST,
    PROBLEMS,
    SCHEMA,
    SCHEMA_VERSION,
    CropRule,
    CropSet,
    open_crops,
    write_crops,
    write_problems,
)
from forensics.training.cutting import Cutter, Limits, Row
from forensics.training.neighbours import from_hex, near_any, thin
from forensics.training.splits import TRAIN, VAL, SplitRule
from forensics.truth.base import Problem

RUN_FOLDER = "run"
ACROSS_FILES = "near-duplicates across files of a split"
ACROSS_SPLITS = "near-duplicates of a validation crop, left out of training"


@dataclass(frozen=True, slots=True)
class MineSettings:
    """How crops are labelled, cut, thinned and split."""

    classes: Classes
    rule: CropRule = field(default_factory=CropRule)
    limits: Limits = field(default_factory=Limits)
    split: SplitRule = field(default_factory=SplitRule)
    truth_boxes: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "class_map": self.classes.class_map,
            "confusers": list(self.classes.confusers),
            "unlabelled": self.classes.unlabelled,
            "truth_crops": self.truth_boxes,
            "max_per_source": self.limits.per_source,
            "max_false_alarms_per_source": self.limits.false_alarms_per_source,
            "duplicate_bits": self.limits.duplicate_bits,
        }


@dataclass(frozen=True, slots=True)
class Mined:
    """A new crop data set, and what did not come into it."""

    crops: CropSet
    problems: tuple[Problem, ...]
    left_out: dict[str, int]
    thinned: dict[str, int]
    notes: tuple[str, ...]


def partial_folder(out: Path, *, overwrite: bool) -> Path:
    """The folder in which a data set is made.

    Raises TrainingError where `out` must not be replaced: only a crop data set ever is, and only
    when asked for.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not (out / MANIFEST).is_file():
            raise TrainingError(f"{out} holds something else; choose a new folder with --out")
        if not overwrite:
            raise TrainingError(
                f"{out} holds crops already; give --overwrite to replace them, or another --out"
            )
    return out.with_name(f"{out.name}.partial")


@dataclass(frozen=True, slots=True)
class Finish:
    """Thins across files, writes table and manifest, and gives the folder its name."""

    partial: Path
    out: Path
    settings: MineSettings
    targets: tuple[str, ...]
    provenance: dict[str, Any]

    def publish(
        self,
        cutter: Cutter,
        problems: list[Problem],
        left_out: Counter[str],
        notes: Sequence[str],
    ) -> Mined:
        rows = self._apart(cutter)
        problems = [*problems, *cutter.problems]
        self.partial.mkdir(parents=True, exist_ok=True)
        write_problems(problems, self.partial / PROBLEMS)
        if not rows:
            raise TrainingError(
                f"no crop is left ({_said(left_out) or 'nothing was found'}); what was left out "
                f"and why is in {self.partial / PROBLEMS}: mend labels or footage, or lower --floor"
            )
        manifest = self._manifest(rows, left_out, cutter.thinned)
        write_crops(self.partial, manifest, pa.Table.from_pylist(rows, schema=SCHEMA))
        _appear(self.partial, self.out)
        return Mined(
            crops=open_crops(self.out),
            problems=tuple(problems),
            left_out=dict(left_out),
            thinned=dict(cutter.thinned),
            notes=(*notes, *self._empty(rows)),
        )

    def _apart(self, cutter: Cutter) -> list[Row]:
        """No near-duplicates of one label in a split, and none in both splits."""
        rows, bits = cutter.rows, self.settings.limits.duplicate_bits
        hashes = from_hex([row["dhash"] for row in rows])
        keep = np.zeros(len(rows), np.bool_)
        parts = defaultdict(list)
        for place, row in enumerate(rows):
            parts[row["split"], row["label"]].append(place)
        for listed in parts.values():
            places = np.array(listed, np.int64)
            scores = np.array([-(rows[n]["detector_score"] or 0) for n in listed])
            keep[places] = thin(hashes[places], np.argsort(scores, kind="stable"), bits)
        cutter.thinned[ACROSS_FILES] += int((~keep).sum())
        val = np.array([row["split"] == VAL for row in rows], np.bool_)
        near = np.zeros(len(rows), np.bool_)
        near[keep & ~val] = near_any(hashes[keep & ~val], hashes[keep & val], bits)
        cutter.thinned[ACROSS_SPLITS] += int(near.sum())
        for place in np.flatnonzero(~keep | near).tolist():
            (self.partial / rows[place]["file"]).unlink()
        return [rows[place] for place in np.flatnonzero(keep & ~near).tolist()]

    def _manifest(
        self, rows: list[Row], left_out: Counter[str], thinned: Counter[str]
    ) -> dict[str, Any]:
        sources = Counter((row["source"], row["group"], row["split"]) for row in rows)
        return {
            "schema": SCHEMA_VERSION,
            "product": f"forensics {forensics.__version__}",
            "targets": list(self.targets),
            "rule": self.settings.rule.to_json(),
            "split": self.settings.split.to_json(),
            "seed": self.settings.split.seed,
            "settings": self.settings.to_json(),
            **self.provenance,
            "left_out": dict(sorted(left_out.items())),
            "thinned": dict(sorted(thinned.items())),
            "sources": [
                {"source": source, "group": group, "split": split, "crops": count}
                for (source, group, split), count in sources.items()
            ],
        }

    def _empty(self, rows: list[Row]) -> list[str]:
        """Classes that were asked for and have no crop, in all or in one split."""
        notes = []
        have = {(row["split"], row["label"]) for row in rows}
        splits = sorted({row["split"] for row in rows})
        for name in (*self.targets[:1], *self.settings.classes.confusers):
            lacking = [split for split in splits if (split, name) not in have]
            if lacking:
                notes.append(f"class {name} has no crop in {' and '.join(lacking)}")
        if splits == [TRAIN]:
            notes.append("no validation crops: there is one group; see --camera and --val")
        return notes


def _said(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{count} {why}" for why, count in sorted(counts.items()) if count)


def _appear(partial: Path, out: Path) -> None:
    """Give the finished folder its name; a run that the old one holds goes on in the new one."""
    for folder in (partial / "images", partial / "unlabelled"):
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
    old = out.with_name(f".{out.name}.replaced")
    if out.exists():
        if (out / RUN_FOLDER).is_dir() and not (partial / RUN_FOLDER).exists():
            (out / RUN_FOLDER).rename(partial / RUN_FOLDER)
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
    partial.rename(out)
    shutil.rmtree(old, ignore_errors=True)
