"""Train the first network: a thin layer over ultralytics, tuned for recall and for slow machines.

Only this module and the export open ultralytics checkpoints, which are pickles: train only from
weights that you trust.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.tasks import load_checkpoint

from forensics.errors import TrainingError

LAST = Path("weights") / "last.pt"
BEST = Path("weights") / "best.pt"
# Over ultralytics' defaults: little turning (cameras hang level), strong scaling (a gun is near or
# far), no vertical flip, boxes weighted a little less than being found.
RECIPE: dict[str, Any] = {
    "optimizer": "AdamW",
    "lrf": 0.05,
    "warmup_epochs": 0.3,
    "cos_lr": True,
    "degrees": 8.0,
    "scale": 0.5,
    "close_mosaic": 1,
    "box": 6.0,
    "cls": 0.7,
}


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """How to train. `imgsz` pixels; `multi_scale` is the share by which batches vary about it.

    `lr`: the first epoch's learning rate. `mosaic`: the share of pictures put together from four,
    in all epochs but the last.
    """

    epochs: int = 10
    imgsz: int = 640
    multi_scale: float = 0.0
    batch: int = 16
    lr: float = 0.0003
    mosaic: float = 1.0
    device: str = "cpu"
    threads: int = 2
    workers: int = 1
    seed: int = 0
    freeze: int = 0


@dataclass(frozen=True, slots=True)
class TrainedDetector:
    """Where the best weights lie, and how they did on the config's own validation pictures."""

    best: Path
    epochs: int
    metrics: dict[str, float]


class _Trainer(DetectionTrainer):  # type: ignore[misc]  # ultralytics is untyped
    """Its checkpoints appear whole or not at all, so that a kill while saving costs no more."""

    last: Path
    best: Path

    def save_model(self) -> bool:
        places = self.last, self.best
        self.last, self.best = (path.with_suffix(".new") for path in places)
        try:
            saved = super().save_model()
            for path, new in zip(places, (self.last, self.best), strict=True):
                if new.exists():
                    new.replace(path)
        finally:
            self.last, self.best = places
        return bool(saved)


def train_detector(
    data: Path, weights: str, out: Path, settings: DetectorSettings
) -> TrainedDetector:
    """Train on the `data.yaml` at `data`, from `weights`, into the folder `out`.

    Where `out` holds an unfinished training it goes on after its last whole epoch. Raises
    TrainingError when the weights or the settings cannot be used.
    """
    try:
        if ended := _ended(out):
            return ended
        trainer = _trainer(data, weights, out, settings)
        trainer.add_callback("on_train_start", lambda _: torch.set_num_threads(settings.threads))
        trainer.add_callback("on_train_start", _half_work)
        trainer.train()
    except Exception as error:  # ultralytics, and unpickling weights, raise all sorts
        first = (str(error).splitlines() or [""])[0]
        raise TrainingError(
            f"training stopped: {type(error).__name__}: {first}; check --weights {weights} and the "
            "settings, then run the same command again"
        ) from error
    metrics = {key: float(value) for key, value in trainer.metrics.items()}
    return TrainedDetector(out / BEST, int(trainer.epoch) + 1, metrics)


def _trainer(data: Path, weights: str, out: Path, settings: DetectorSettings) -> _Trainer:
    last = out / LAST
    given = RECIPE | {
        "model": weights,
        "data": str(data),
        "imgsz": settings.imgsz,
        "multi_scale": settings.multi_scale,
        "lr0": settings.lr,
        "mosaic": settings.mosaic,
        "epochs": settings.epochs,
        "batch": settings.batch,
        "nbs": settings.batch,
        "device": settings.device,
        "workers": settings.workers,
        "seed": settings.seed,
        "deterministic": True,
        "freeze": settings.freeze or None,
        "amp": settings.device != "cpu",
        "project": str(out.parent.absolute()),
        "name": out.name,
        "exist_ok": True,
        "plots": True,
        "channels_last": True,
        "patience": settings.epochs,
    }
    if last.is_file():
        given |= {"model": str(last), "resume": str(last)}
    return _Trainer(overrides=given)


def _half_work(trainer: DetectionTrainer) -> None:
    """Compute in bfloat16 on a processor that has it: half the time of a step; the loss in float32.

    ultralytics offers it on CUDA only.
    """
    if trainer.device.type != "cpu" or not torch.cpu._is_avx512_bf16_supported():
        return
    plain = trainer.model.predict

    def predict(*args: Any, **options: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return _float32(plain(*args, **options))

    trainer.model.predict = predict


def _float32(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output.float()
    if isinstance(output, dict):
        return {key: _float32(value) for key, value in output.items()}
    if isinstance(output, list | tuple):
        return type(output)(_float32(value) for value in output)
    return output


def _ended(out: Path) -> TrainedDetector | None:
    """The result of a training that saw its last epoch but was stopped before it said so.

    ultralytics then marks its checkpoints with epoch -1 and does not go on from them.
    """
    if not (out / LAST).is_file() or load_checkpoint(out / LAST)[1]["epoch"] >= 0:
        return None
    found = load_checkpoint(out / BEST)[1]["train_metrics"]
    with (out / "results.csv").open(newline="") as stream:
        epochs = max(int(row["epoch"]) for row in csv.DictReader(stream))
    metrics = {key: float(value) for key, value in found.items() if key.startswith("metrics/")}
    return TrainedDetector(out / BEST, epochs, metrics)
