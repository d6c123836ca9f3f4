"""`forensics mine`: a run (or labelled pictures) becomes a crop data set, or nothing does.

Crops are cut into a partial folder beside the wanted one, which appears under its name when all
is done. Whole groups (cameras or files) train or validate; a training crop that nearly equals a
validation crop is left out of training. Joining their groups instead would let one common picture
(an empty wall) pull all cameras into one split, and would shrink the validation set.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forensics.evaluation.log import Log
from forensics.evaluation.rules import target_classes
from forensics.footage.grab import grab_stills
from forensics.runlog.places import Places
from forensics.runlog.reader import RunTables
from forensics.training.candidates import OTHER, Classes, judge
from forensics.training.crops import CropRule, check_label
from forensics.training.cutting import Cutter, Progress, Row, cut_candidates
from forensics.training.publish import Finish, Mined, MineSettings, partial_folder
from forensics.training.splits import assign
from forensics.truth.base import Problem, Truth
from forensics.truth.naming import MediaNames
from forensics.types import FloatArray, InputFile, Status


def mine_run(
    run: RunTables,
    truth: Truth,
    out: Path,
    settings: MineSettings,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Mined:
    """Cut and label the detections of `run` into the crop data set `out`.

    Raises TruthError where the truth fits no file, TrainingError when no crop is left.
    """
    partial = partial_folder(out, overwrite=overwrite)
    judged = judge(run, truth, settings.classes, truth_boxes=settings.truth_boxes)
    log, found = judged.log, judged.candidates
    problems = [*truth.problems, *judged.problems]
    problems += [Problem(name, "no truth file: passed over") for name in truth.skipped]
    problems += _missing(truth, log) + _not_scanned(run)
    problems += [
        Problem(path, f"{count} detections left out: {why}")
        for (path, why), count in sorted(judged.left_out.items())
    ]
    codes = np.unique(found.media).tolist()
    group_of = {log.path[code]: log.camera_names[log.camera[code]] for code in codes}
    cutter = _cutter(partial, settings, group_of, set(found.label))
    cut_candidates(cutter, found, log, Places(run), progress)
    left_out: Counter[str] = Counter()
    for (_, why), count in judged.left_out.items():
        left_out[why] += count
    provenance = _provenance(run)
    finished = Finish(partial, out, settings, target_classes(run), provenance)
    return finished.publish(cutter, problems, left_out, judged.notes)


def _provenance(run: RunTables) -> dict[str, Any]:
    manifest = run.manifest
    models = {model["stage"]: model["sha256"] for model in manifest.get("models", [])}
    return {
        "run": manifest.get("id"),
        "cascade": {
            "name": manifest["cascade"].get("name"),
            "version": manifest["cascade"].get("version"),
            "detector_sha256": models.get("detector"),
        },
        "imgsz": manifest.get("imgsz"),
        "floor": manifest["thresholds"]["floor"],
    }


def _missing(truth: Truth, log: Log) -> list[Problem]:
    """Labels whose footage is not in the run."""
    names = MediaNames(log.aliases)
    return [
        Problem(media.source, f"labels without footage: {media.name} is not in the run")
        for media in truth.media
        if names.find(media.name, media.source, suffix_known=media.suffix_known) is None
    ]


def _not_scanned(run: RunTables) -> list[Problem]:
    rows = run.media.select(["path", "status", "reason"]).to_pylist()
    return [
        Problem(row["path"], f"{row['status']}: {row['reason']}")
        for row in rows
        if row["status"] != Status.OK
    ]


def mine_folders(
    inputs: Sequence[InputFile],
    targets: Sequence[str],
    out: Path,
    settings: MineSettings,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Mined:
    """Whole pictures as crops; the class of each is the name of its folder, as the map says.

    The object is taken to fill 1 / padding of the picture, so that the crop shows the picture
    and no more. A class `*` in the map is that of folders that it does not list and that are no
    class themselves.
    """
    partial = partial_folder(out, overwrite=overwrite)
    wanted, problems = _labelled(inputs, targets, settings.classes)
    label_of = {file.relative: label for file, label in wanted}
    group_of = {file.relative: file.camera_id for file, _ in wanted}
    cutter = _cutter(partial, settings, group_of, set(label_of.values()))
    files = [file for file, _ in wanted]
    seen = set()
    for place, rgb in grab_stills([file.path for file in files]):
        source = files[place].relative
        facts = _whole(source, label_of[source], targets)
        cutter.cut(rgb, _inner(rgb.shape, settings.rule), [facts])
        cutter.end_source()
        seen.add(source)
        if progress is not None:
            progress(len(seen), len(files))
    problems += [Problem(name, "cannot be decoded") for name in label_of if name not in seen]
    finished = Finish(partial, out, settings, tuple(targets), {})
    return finished.publish(cutter, problems, Counter(), ())


def _labelled(
    inputs: Sequence[InputFile], targets: Sequence[str], classes: Classes
) -> tuple[list[tuple[InputFile, str]], list[Problem]]:
    known = {*targets, *classes.confusers, OTHER}
    wanted, problems = [], []
    for file in inputs:
        folder = file.path.parent.name
        rest = folder if folder in known else classes.class_map.get("*", folder)
        label = classes.class_map.get(folder, rest)
        if file.refused or not file.is_still:
            problems.append(Problem(file.relative, file.refused or "no still image"))
        elif not label:
            problems.append(Problem(file.relative, f"left out, as --class-map {folder}= asks"))
        elif label not in known:
            what = f"class {label!r} is unknown; map its folder: --class-map {folder}=other"
            problems.append(Problem(file.relative, what))
        else:
            wanted.append((file, label))
    return wanted, problems


def _inner(shape: tuple[int, ...], rule: CropRule) -> FloatArray:
    height, width = shape[:2]
    half = np.array([width, height]) / 2 / max(1.0, rule.padding)
    centre = np.array([width, height]) / 2
    return np.concatenate([centre - half, centre + half])[None].astype(np.float32)


def _whole(source: str, label: str, targets: Sequence[str]) -> Row:
    kind = "target" if label in targets else "false_alarm" if label == OTHER else "confuser"
    facts = {"source": source, "frame_index": 0, "time_s": None, "detector_score": None}
    iou = 1.0 if kind == "target" else 0.0
    return {**facts, "iou": iou, "truth_class": label, "kind": kind, "label": label}


def _cutter(
    partial: Path, settings: MineSettings, group_of: Mapping[str, str], labels: Iterable[str]
) -> Cutter:
    for label in labels:
        check_label(label or OTHER)
    sources = defaultdict(list)
    for source, group in group_of.items():
        sources[group].append(source)
    split_of = assign(sources, settings.split) if sources else {}
    for old in (*partial.glob("*.csv"), *partial.glob("crops.*")):
        old.unlink()
    for name in ("images", "unlabelled"):
        shutil.rmtree(partial / name, ignore_errors=True)
    return Cutter(partial, settings.rule, settings.limits, group_of, split_of)
