"""Logits of a trained classifier on crops, and how good they are. Every share has its counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.metrics import roc_auc_score

from forensics.training.batches import Ints, plain_batches, to_input
from forensics.training.classifier_model import FitMeta
from forensics.training.examples import Example

Floats = NDArray[np.float64]
ALLOWED = (0.01, 0.05, 0.1)  # shares of other crops that may be taken for a target
BATCH = 64


def logits_of(
    model: torch.nn.Module,
    meta: FitMeta,
    examples: Sequence[Example],
    *,
    device: str = "cpu",
    workers: int = 1,
    step: Callable[[int], None] | None = None,
) -> Floats:
    """Logits in single precision, as the cascade computes them: float64 (n, classes)."""
    was_training = model.training
    model.eval()
    parts = [np.empty((0, len(meta.classes)), np.float64)]
    with torch.inference_mode():
        crops_of = plain_batches(
            examples, meta, batch=BATCH, workers=workers
        )
        for crops in crops_of:
            answer = model(to_input(crops, meta.mean, meta.std, device))
            parts.append(answer.double().cpu().numpy())
            if step is not None:
                step(len(crops))
    model.train(was_training)
    return np.concatenate(parts)


def target_probability(logits: Floats, meta: FitMeta, temperature: float = 1.0) -> Floats:
    """Summed probability of the targets, float64 (n,), as the cascade's target score."""
    found = softmax(logits / temperature, axis=1)[:, list(meta.target_indices)].sum(axis=1)
    return np.asarray(found, np.float64)


def negative_log_likelihood(logits: Floats, labels: Ints, temperature: float = 1.0) -> float:
    """Mean of -log p(label)."""
    logged = log_softmax(logits / temperature, axis=1)
    return float(-logged[np.arange(len(labels)), labels].mean())


def confusion_matrix(logits: Floats, labels: Ints) -> Ints:
    """Crops by true class (row) and most probable class (column), int64 (classes, classes)."""
    table = np.zeros((logits.shape[1], logits.shape[1]), np.int64)
    np.add.at(table, (labels, logits.argmax(axis=1)), 1)
    return table


def measure(logits: Floats, labels: Ints, meta: FitMeta) -> dict[str, Any]:
    """All figures on labelled crops; shares are None where there is nothing to count."""
    table = confusion_matrix(logits, labels)
    hits, true, said = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    per_class = {
        name: {
            "crops": int(true[k]),
            "found": int(hits[k]),
            "said": int(said[k]),
            "recall": _share(hits[k], true[k]),
            "precision": _share(hits[k], said[k]),
        }
        for k, name in enumerate(meta.classes)
    }
    recalls = [row["recall"] for row in per_class.values() if row["recall"] is not None]
    target = target_probability(logits, meta)
    hit = np.isin(labels, meta.target_indices)
    mixed = hit.any() and not hit.all()
    return {
        "crops": len(labels),
        "right": int(hits.sum()),
        "accuracy": _share(hits.sum(), len(labels)),
        "mean_recall": float(np.mean(recalls)) if recalls else None,
        "nll": negative_log_likelihood(logits, labels),
        "target_auc": float(roc_auc_score(hit, target)) if mixed else None,
        "at_false_acceptance": [at_false_acceptance(target, hit, a) for a in ALLOWED],
        "per_class": per_class,
        "confusion": table.tolist(),
    }


def at_false_acceptance(target: Floats, hit: Any, allowed: float) -> dict[str, Any]:
    """Recall of targets at the lowest threshold that accepts at most `allowed` of the rest.

    A crop is accepted when its target score reaches the threshold, as in the cascade.
    """
    others, wanted = np.sort(target[~hit])[::-1], target[hit]
    may = int(np.floor(allowed * len(others)))
    limit = others[may] if may < len(others) else -np.inf
    threshold = float(np.nextafter(limit, np.inf)) if np.isfinite(limit) else 0.0
    found, false = int((wanted >= threshold).sum()), int((others >= threshold).sum())
    return {
        "allowed": allowed,
        "threshold": threshold,
        "false": false,
        "others": len(others),
        "found": found,
        "targets": len(wanted),
        "recall": _share(found, len(wanted)),
    }


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None
