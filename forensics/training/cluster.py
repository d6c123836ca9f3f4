"""Cluster false alarms by how a network sees them, so that people can name what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA

from forensics.errors import TrainingError
from forensics.training.backbone import LITE0_MEAN, LITE0_STD, embed, load_imagenet_lite0
from forensics.training.classifier_model import load_fit
from forensics.training.crops import CropSet
from forensics.types import FloatArray

COMPONENTS = 32
BATCH = 32
Progress = Callable[[int, int], None]
Triple = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network that turns crops into features, and what pictures it takes."""

    name: str
    model: torch.nn.Module
    mean: Triple = LITE0_MEAN
    std: Triple = LITE0_STD
    grey: bool = False

    def features(self, crops: CropSet, rows: list[int], progress: Progress | None) -> FloatArray:
        """Features of the given rows: float32 (n, d), each of length 1."""
        parts = []
        for start in range(0, len(rows), BATCH):
            pictures = crops.pictures(rows[start : start + BATCH])
            if self.grey:
                weights = np.array([0.299, 0.587, 0.114])
                pictures = np.repeat((pictures @ weights).round()[..., None], 3, axis=3)
                pictures = pictures.astype(np.uint8)
            parts.append(embed(self.model, pictures, mean=self.mean, std=self.std))
            if progress is not None:
                progress(min(start + BATCH, len(rows)), len(rows))
        found = np.concatenate(parts)
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1)[:, None], 1e-9))


def open_backbone(fit: Path | None) -> Backbone:
    """The ImageNet network, or the one of a FIT folder. Raises TrainingError."""
    if fit is None:
        return Backbone("tf_efficientnet_lite0 (ImageNet)", load_imagenet_lite0())
    model, meta = load_fit(fit)
    name = f"{meta.model} ({fit.name})"
    return Backbone(name, model, meta.mean, meta.std, meta.colour == "grey")


def cluster(
    features: FloatArray, *, clusters: int | None, least: int, seed: int
) -> NDArray[np.int32]:
    """Number the groups of (n, d) features: int32 (n,), 0 is the largest; -1 = in none.

    Principal components (32 at most), then HDBSCAN with at least `least` members a cluster, or
    k-means with `clusters`. The same input and seed give the same numbers.
    """
    n_components = min(COMPONENTS, *features.shape)
    reduced = PCA(n_components, svd_solver="full", random_state=seed).fit_transform(features)
    if clusters is not None:
        if clusters > len(features):
            raise TrainingError(f"{len(features)} false alarms cannot make {clusters} clusters")
        found = KMeans(clusters, n_init=10, random_state=seed).fit_predict(reduced)
    elif len(features) < max(2, least):
        found = np.full(len(features), -1)
    else:
        found = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(reduced)
    return _by_size(np.asarray(found))


def _by_size(found: NDArray[Any]) -> NDArray[np.int32]:
    names, first, counts = np.unique(found, return_index=True, return_counts=True)
    real = names >= 0
    order = np.lexsort((first[real], -counts[real]))
    numbers = np.full(len(found), -1, np.int32)
    for number, place in enumerate(order.tolist()):
        numbers[found == names[real][place]] = number
    return numbers
