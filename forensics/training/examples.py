"""Training examples for the second network: one or more crop data sets, joined and checked.

Whatever cannot be used is left out and listed with file and line; when too little is left to train
on, there is a clear stop. Validation wins: a camera (group) that is validation in one data set is
left out of training in every other.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from forensics.errors import TrainingError
from forensics.training.candidates import OTHER
from forensics.training.crops import BOX, CropRule, open_crops
from forensics.training.neighbours import from_hex, near_any
from forensics.training.pictures import NEAR_BITS
from forensics.training.splits import TRAIN, VAL
from forensics.truth.base import Problem

MIN_PER_CLASS = 8


@dataclass(frozen=True, slots=True)
class Example:
    """One crop: a picture of imgsz x imgsz, and what is on it.

    `spot` says which box on which frame of which footage it shows; `folder` is its data set's.
    """

    path: Path
    crop_id: str
    label: str
    split: str
    group: str
    source: str
    spot: tuple[Any, ...]
    side_px: int
    folder: Path
    dhash: str


@dataclass(frozen=True, slots=True)
class Examples:
    """Everything that a training run sees. `classes`: targets first, `other` last."""

    train: tuple[Example, ...]
    val: tuple[Example, ...]
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    rule: CropRule
    problems: tuple[Problem, ...]
    sources: tuple[dict[str, Any], ...]

    def labels(self, examples: Sequence[Example]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Class numbers, int64 (n,)."""
        return np.array([self.classes.index(e.label) for e in examples], np.int64)

    def counts(self) -> dict[str, dict[str, int]]:
        """split -> class -> crops."""
        found = {}
        for name, part in ((TRAIN, self.train), (VAL, self.val)):
            seen = Counter(e.label for e in part)
            found[name] = {label: seen[label] for label in self.classes}
        return found

    def digest(self) -> str:
        """SHA-256 over which crops are used as what: a resumed run must see the same."""
        rows = [[e.crop_id, e.label, e.split] for e in (*self.train, *self.val)]
        text = json.dumps([rows, self.classes, self.targets, self.rule.to_json()])
        return hashlib.sha256(text.encode()).hexdigest()

    def trained_on(self) -> dict[str, Any]:
        """The record for classifier.json."""
        return {"crops": list(self.sources), "counts": self.counts(), "digest": self.digest()}


def gather(
    folders: Sequence[Path],
    targets: Sequence[str],
    class_map: Mapping[str, str] | None = None,
    *,
    classes: Sequence[str] | None = None,
    min_per_class: int = MIN_PER_CLASS,
) -> Examples:
    """Read, join and check crop data sets. Raises TrainingError when they cannot be trained on.

    `classes`: those of an earlier network, in its order, instead of those that the crops have.
    Where two data sets label one box differently, the one given first counts.
    """
    found, rule, problems, sources = _read(folders)
    found = _renamed(found, dict(class_map or {}))
    found = _apart(_distinct(found, problems), problems)
    labels = {e.label for e in found}
    if strangers := [name for name in targets if name not in labels]:
        raise TrainingError(
            f"no crop is labelled {', '.join(strangers)}; the labels are "
            f"{', '.join(sorted(labels)) or 'none'}: give --targets or --class-map"
        )
    if classes is not None and (strangers := sorted(labels - set(classes))):
        raise TrainingError(
            f"the network has no class {', '.join(strangers)}; it has {', '.join(classes)}: give "
            "--class-map"
        )
    examples = Examples(
        train=tuple(e for e in found if e.split == TRAIN),
        val=tuple(e for e in found if e.split == VAL),
        classes=_class_order(labels, targets) if classes is None else tuple(classes),
        targets=tuple(dict.fromkeys(targets)),
        rule=rule,
        problems=tuple(problems),
        sources=tuple(sources),
    )
    _check_enough(examples, min_per_class)
    return examples


def _read(
    folders: Sequence[Path],
) -> tuple[list[Example], CropRule, list[Problem], list[dict[str, Any]]]:
    if not folders:
        raise TrainingError("no crop data set was given; make one with `forensics mine`")
    found: list[Example] = []
    problems: list[Problem] = []
    sources: list[dict[str, Any]] = []
    rule: CropRule | None = None
    for folder in folders:
        crops = open_crops(folder)
        if rule is not None and crops.rule != rule:
            raise TrainingError(
                f"{folder} has crops of {crops.rule.words()}, but {folders[0]} of {rule.words()}; "
                "join only crops cut by one rule"
            )
        rule = crops.rule
        problems += [Problem(f"{folder / p.where}", p.what) for p in crops.problems]
        found += [_example(folder, row) for row in crops.table.to_pylist() if row["label"]]
        sources.append({"name": folder.name, "sha256": crops.sha256})
    assert rule is not None
    return found, rule, problems, sources


def _example(folder: Path, row: Mapping[str, Any]) -> Example:
    return Example(
        path=folder / row["file"],
        crop_id=row["crop_id"],
        label=row["label"],
        split=row["split"],
        group=row["group"],
        source=row["source"],
        spot=tuple(row[key] for key in ("source", "frame_index", *BOX)),
        side_px=int(row["side_px"]),
        folder=folder,
        dhash=row["dhash"],
    )


def _renamed(examples: list[Example], class_map: dict[str, str]) -> list[Example]:
    labels = {e.label for e in examples}
    if strangers := sorted(set(class_map) - labels):
        raise TrainingError(
            f"--class-map names {', '.join(strangers)}, but no crop is labelled so; the labels "
            f"are {', '.join(sorted(labels)) or 'none'}"
        )
    named = [replace(e, label=class_map.get(e.label, e.label)) for e in examples]
    return [e for e in named if e.label]


def _distinct(examples: list[Example], problems: list[Problem]) -> list[Example]:
    """Each box once, and no camera on both sides: validation comes first, then the order given."""
    ordered = sorted(examples, key=lambda e: e.split != VAL)
    held_out = {name for e in examples if e.split == VAL for name in (e.group, e.source)}
    kept: dict[tuple[Any, ...], Example] = {}
    for example in ordered:
        earlier = kept.get(example.spot)
        if earlier is not None:
            if earlier.label != example.label:
                problems.append(
                    _problem(example, f"is {example.label} here and {earlier.label} elsewhere")
                )
        elif example.split == TRAIN and held_out & {example.group, example.source}:
            problems.append(_problem(example, f"camera {example.group} is validation elsewhere"))
        else:
            kept[example.spot] = example
    return list(kept.values())


def _apart(examples: list[Example], problems: list[Problem]) -> list[Example]:
    """No training crop that nearly equals a validation crop of another data set.

    Inside a data set `mine` has seen to that, as it was told.
    """
    val = [e for e in examples if e.split == VAL]
    near: set[int] = set()
    for folder in dict.fromkeys(e.folder for e in examples):
        own = [n for n, e in enumerate(examples) if e.split == TRAIN and e.folder == folder]
        others = [e.dhash for e in val if e.folder != folder]
        found = near_any(from_hex([examples[n].dhash for n in own]), from_hex(others), NEAR_BITS)
        near |= {own[place] for place in np.flatnonzero(found)}
    for n in sorted(near):
        problems.append(_problem(examples[n], "nearly equals a validation crop"))
    return [e for n, e in enumerate(examples) if n not in near]


def _problem(example: Example, what: str) -> Problem:
    return Problem(str(example.path), f"{what}; left out")


def _class_order(labels: set[str], targets: Sequence[str]) -> tuple[str, ...]:
    middle = sorted(labels - set(targets) - {OTHER})
    last = [OTHER] if OTHER in labels and OTHER not in targets else []
    return tuple(dict.fromkeys((*targets, *middle, *last)))


def _check_enough(examples: Examples, least: int) -> None:
    counts = examples.counts()
    left_out = f" ({len(examples.problems)} crops were left out)" if examples.problems else ""
    rest = [name for name in examples.classes if name not in examples.targets]
    if not rest:
        raise TrainingError(
            f"every crop is a target ({', '.join(examples.classes)}){left_out}: there is nothing "
            "to tell it from; mine false alarms, or add crops of other things"
        )
    few = [f"{name} {n}" for name, n in counts[TRAIN].items() if n < least]
    if few:
        raise TrainingError(
            f"fewer than {least} crops to train on: {', '.join(few)}{left_out}; mine more, join "
            "classes with --class-map few=other, or lower --min-crops"
        )
    for names, what in ((examples.targets, "target"), (rest, "other")):
        if not sum(counts[VAL][name] for name in names):
            raise TrainingError(
                f"no {what} crop is in validation{left_out}; mine footage of more cameras, so that "
                "some are held out"
            )
