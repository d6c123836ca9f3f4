"""Train a classifier on with reviewed cases, and say what that changed on the old validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.cascade.definition import CascadeDefinition
from forensics.cascade.rewrite import check_same_cascade
from forensics.errors import TrainingError
from forensics.evaluation.paired import mcnemar
from forensics.runlog.reader import RunTables
from forensics.runlog.writer import write_json
from forensics.training.batches import Ints
from forensics.training.calibrate import check_fits
from forensics.training.classifier_model import FitMeta, load_fit, read_meta
from forensics.training.classifier_settings import TrainSettings
from forensics.training.examples import gather
from forensics.training.reviewed import Progress, cut_reviews, read_reviews
from forensics.training.scores import Floats, logits_of, target_probability
from forensics.training.train_classifier import Watch, train_classifier
from forensics.truth.base import Problem

REVIEWED, COMPARISON = "reviewed", "retrain.json"
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Retraining:
    """What to train on with what. `crops`: the data sets that `fit` was trained on."""

    cascade: CascadeDefinition
    fit: Path
    run: RunTables
    labels: Path
    crops: Sequence[Path]
    out: Path
    class_map: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retrained:
    """The new network, `added` reviewed crops, what was left out, and before against after."""

    meta: FitMeta
    added: int
    problems: tuple[Problem, ...]
    same_crops: bool
    comparison: dict[str, Any]


def retrain(
    asked: Retraining,
    settings: TrainSettings,
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> Retrained:
    """Cut the reviewed detections, join them to the old crops, train on, and compare.

    `settings` are taken but for model, weights and colour, which are those of the old network.
    Raises TrainingError and CascadeError.
    """
    model, before = load_fit(asked.fit)
    _check(asked, before)
    reviews, faults = read_reviews(asked.labels, asked.run, before.classes)
    extra = asked.out / REVIEWED
    faults = cut_reviews(reviews, faults, asked.run, before, extra, progress)
    targets, classes = before.targets, before.classes
    examples = gather(
        [extra, *asked.crops], targets, asked.class_map, classes=classes, min_per_class=0
    )
    check_fits(before, examples)
    settings = replace(
        settings,
        model=before.model,
        weights=str(asked.fit),
        colour=before.colour,
        imgsz=before.imgsz,
        padding=before.padding,
    )
    train_classifier(examples, settings, asked.out, watch)
    after_model, after = load_fit(asked.out)
    logits = [
        logits_of(network, meta, examples.val, workers=settings.threads)
        for network, meta in ((model, before), (after_model, after))
    ]
    scores = [
        target_probability(found, meta, meta.temperature)
        for found, meta in zip(logits, (before, after), strict=True)
    ]
    threshold = asked.cascade.operating_point.classifier
    assert threshold is not None  # _check saw that there is a classifier
    comparison = compare(scores[0], scores[1], examples.labels(examples.val), before, threshold)
    write_json(comparison, asked.out / COMPARISON)
    known = {source["sha256"] for source in before.trained_on.get("crops", [])}
    used = {source["sha256"] for source in examples.sources[1:]}
    return Retrained(
        meta=read_meta(asked.out),
        added=sum(extra in e.path.parents for e in examples.train),
        problems=(*faults, *examples.problems),
        same_crops=known == used,
        comparison=comparison,
    )


def compare(
    before: Floats, after: Floats, labels: Ints, meta: FitMeta, threshold: float
) -> dict[str, Any]:
    """Decisions of both networks on the same crops, at one threshold for target scores (n,).

    McNemar's exact test looks only at crops that exactly one of the two decides rightly. The
    recall at equal false acceptance takes the new network's threshold at which it accepts no more
    other crops than the old one did: a shift of all scores is no gain.
    """
    hit = np.isin(labels, meta.target_indices)
    first, second = before >= threshold, after >= threshold
    rows = {
        name: {
            "crops": int((labels == k).sum()),
            "target": name in meta.targets,
            "accepted_before": int(first[labels == k].sum()),
            "accepted_after": int(second[labels == k].sum()),
        }
        for k, name in enumerate(meta.classes)
    }
    return {
        "threshold": threshold,
        "per_class": rows,
        "targets": _paired(first, second, hit),
        "others": _paired(~first, ~second, ~hit),
        "equal_false": _equal_false(first, after, hit),
    }


def _paired(first: Bools, second: Bools, among: Bools) -> dict[str, Any]:
    """Right decisions among some crops: counts, and those that only one side has."""
    only_before = int((first & ~second & among).sum())
    only_after = int((second & ~first & among).sum())
    return {
        "crops": int(among.sum()),
        "right_before": int((first & among).sum()),
        "right_after": int((second & among).sum()),
        "only_before": only_before,
        "only_after": only_after,
        "mcnemar_p": mcnemar(only_before, only_after),
    }


def _equal_false(first: Bools, after: Floats, hit: Bools) -> dict[str, Any]:
    may = int((first & ~hit).sum())
    others = np.sort(after[~hit])[::-1]
    limit = float(others[may]) if may < len(others) else -1.0  # scores are above it
    second = after > limit
    return {
        "false_before": may,
        "false_after": int((second & ~hit).sum()),
        "others": int((~hit).sum()),
        "found_before": int((first & hit).sum()),
        "found_after": int((second & hit).sum()),
        "targets": int(hit.sum()),
    }


def _check(asked: Retraining, meta: FitMeta) -> None:
    """The network must be the cascade's, and the run made with the cascade."""
    spec = asked.cascade.classifier
    if asked.out.resolve() == asked.fit.resolve():
        raise TrainingError("--out is --fit itself; choose a new folder, the old network is kept")
    if spec is None:
        raise TrainingError(f"the cascade {asked.cascade.name} has no classifier to retrain")
    check_same_cascade(asked.cascade, asked.run.manifest)
    own = meta.crop_spec()
    for name in ("classes", "targets", "imgsz", "padding", "min_side", "grey"):
        ours, theirs = getattr(own, name), getattr(spec, name)
        if ours != theirs:
            raise TrainingError(
                f"{asked.fit} is not the classifier of {asked.cascade.name}: {name} is {ours}, in "
                f"the cascade {theirs}; give the --fit that the cascade was exported from"
            )
