"""A detector training from its config to its best weights; the same call goes on where it ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from forensics.errors import TrainingError
from forensics.training.detector_data import (
    Prepared,
    Tell,
    prepare_detector_data,
    prepared_before,
)
from forensics.training.fit_detector import DetectorSettings, TrainedDetector, train_detector
from forensics.training.sources import DataConfig, load_config

DATA = "data"
RESULT = "trained.json"
TUNABLE = frozenset(
    {"epochs", "imgsz", "multi_scale", "batch", "lr", "mosaic", "freeze", "workers"}
)


@dataclass(frozen=True, slots=True)
class DetectorJob:
    """What to train, from what, to where. `overrides` win over the config's [train] table."""

    config: Path
    data_root: Path
    out: Path
    weights: str
    overrides: dict[str, Any]

    def load(self) -> DataConfig:
        return load_config(self.config, self.data_root)


def prepare(job: DetectorJob, tell: Tell) -> Prepared:
    """Write the training pictures to OUT/data, unless they are there. Raises TrainingError."""
    config = job.load()
    before = prepared_before(job.out / DATA)
    if before is None:
        job.out.mkdir(parents=True, exist_ok=True)
        return prepare_detector_data(config, job.out / DATA, tell)
    if before.config_sha256 != config.sha256:
        raise TrainingError(
            f"{job.out} was begun with another {job.config.name}; choose a new --out"
        )
    return before


def run(job: DetectorJob) -> TrainedDetector:
    """Train, or go on after the last whole epoch, or say again how a finished training ended."""
    done = job.out / RESULT
    if done.is_file():
        table = json.loads(done.read_bytes())
        return TrainedDetector(job.out / table["best"], table["epochs"], table["metrics"])
    trained = train_detector(
        job.out / DATA / "data.yaml", job.weights, job.out, _settings(job.load(), job.overrides)
    )
    table = asdict(replace(trained, best=trained.best.relative_to(job.out)))
    done.write_text(json.dumps(table, indent=1, default=str) + "\n")
    return trained


def _settings(config: DataConfig, overrides: dict[str, Any]) -> DetectorSettings:
    if strangers := set(config.train) - TUNABLE:
        raise TrainingError(
            f"[train]: unknown keys {', '.join(sorted(strangers))}; known are "
            f"{', '.join(sorted(TUNABLE))}"
        )
    try:
        return DetectorSettings(**({"seed": config.seed} | config.train | overrides))
    except TypeError as error:
        raise TrainingError(f"[train]: {error}") from error
