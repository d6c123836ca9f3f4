"""Train the second network on detector crops: epochs, validation, early stop, resumption."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from forensics.errors import TrainingError
from forensics.training.batches import Ints, epoch_order, middle, to_input, training_batches
from forensics.training.calibrate import RELIABILITY, calibration
from forensics.training.classifier_model import (
    META,
    TEACHER,
    FitMeta,
    create_classifier,
    load_weights,
    normalisation_of,
    read_meta,
    save_weights,
    start_from,
    write_meta,
)
from forensics.training.classifier_settings import (
    TrainSettings,
    follow,
    make_optimiser,
    rate_at,
    resolve_precision,
    set_mode,
)
from forensics.training.classifier_state import Standing, load_state, read_standing, save_state
from forensics.training.criteria import open_criterion, teacher_graph, teacher_named
from forensics.training.crops import CropRule, write_problems
from forensics.training.examples import Examples
from forensics.training.figures import (
    draw_confusion,
    draw_curves,
    draw_reliability,
    write_confusion,
    write_log,
)
from forensics.training.scores import logits_of, measure
from forensics.training.unfold import take_network
from forensics.types import ImageArray

MODE_SEED = 1_000_003  # keeps the seeds of epochs of neighbouring runs apart
# A student that begins as its teacher competes as it begins: epoch 0.
UNTRAINED = dict.fromkeys(("epoch", "frozen", "lr", "train_loss", "train_accuracy")) | {"epoch": 0}


class Watch(Protocol):
    """Told how a training run goes on."""

    def begin(self, epoch: int, epochs: int, steps: int) -> None: ...

    def step(self, loss: float) -> None: ...

    def epoch(self, row: dict[str, Any]) -> None: ...


class Unwatched:
    """A watch that does nothing."""

    def begin(self, epoch: int, epochs: int, steps: int) -> None: ...

    def step(self, loss: float) -> None: ...

    def epoch(self, row: dict[str, Any]) -> None: ...


def train_classifier(
    examples: Examples, settings: TrainSettings, out: Path, watch: Watch | None = None
) -> FitMeta:
    """Train, or go on from the last whole epoch in `out`; calibrate; write the FIT folder.

    On one machine and with the same number of threads, the same examples and settings give the
    same weights to the last bit, interrupted or not. With `weights` "teacher" the teacher's own
    weights compete as epoch 0, and `epochs` may be 0. Raises TrainingError.
    """
    if settings.epochs < 1 and settings.weights != TEACHER:
        raise TrainingError("--epochs 0 is for --weights teacher; give at least one epoch")
    precision = resolve_precision(settings.precision, settings.device)
    settings = replace(settings, precision=precision)
    run = _Run(examples, settings, out)
    if run.standing.finished and (out / META).exists():
        return read_meta(out)
    torch.set_num_threads(settings.threads)
    cv2.setNumThreads(1)  # crops are prepared by threads of our own
    run.train(watch or Unwatched())
    return run.conclude()


class _Run:
    def __init__(self, examples: Examples, settings: TrainSettings, out: Path) -> None:
        self._examples, self._settings, self._out = examples, settings, out
        _check_rule(examples, settings)
        taught = teacher_named(settings)
        asked = settings.asked() | {"data": examples.digest(), "teacher": taught}
        self.standing = _standing(out, asked)
        self._labels = examples.labels(examples.train)
        torch.manual_seed(settings.seed)
        model = create_classifier(settings.model, len(examples.classes))
        if not self.standing.epoch:
            self.standing.start = self._start(model)
        self._meta = _meta(model, examples, settings, self.standing, taught)
        self._criterion = open_criterion(settings, examples)
        layout: Any = torch.channels_last
        self._model = model.to(settings.device).to(memory_format=layout)
        self._optimiser = make_optimiser(self._model, settings)
        self._average: dict[str, torch.Tensor] = {}
        if self.standing.epoch:
            kept = load_state(out, self._model, self._optimiser)
            self._average = {name: value.to(settings.device) for name, value in kept.items()}
        elif settings.average:
            own = self._model.state_dict()
            self._average = {name: value.detach().clone() for name, value in own.items()}

    def _start(self, model: torch.nn.Module) -> str:
        """Load the weights to begin with; return in words what they are."""
        settings = self._settings
        if settings.weights != TEACHER:
            return start_from(model, settings.model, settings.weights, self._examples.classes)
        take_network(model, teacher_graph(settings))
        return "weights of the teacher"

    def train(self, watch: Watch) -> None:
        """Epoch after epoch, until there are enough or validation gets no better."""
        settings, standing = self._settings, self.standing
        write_problems(self._examples.problems, self._out / "problems.csv")
        if settings.weights == TEACHER and not standing.rows:
            self._close(UNTRAINED, time.monotonic(), watch)
        while not standing.finished:
            started = time.monotonic()
            row = self._epoch(standing.epoch, watch)
            standing.epoch += 1
            self._close(row, started, watch)

    def _close(self, row: dict[str, Any], started: float, watch: Watch) -> None:
        """Validate what an epoch made, keep it if it is the best, and keep the run's state."""
        settings, standing = self._settings, self.standing
        row = row | self._validate()
        row["seconds"] = round(time.monotonic() - started, 2)
        self._judge(row)
        standing.rows.append(row)
        late = standing.epoch - standing.best_epoch >= settings.patience
        standing.finished = late or standing.epoch >= settings.epochs
        write_log(standing.rows, self._out / "log.csv")
        save_state(self._out, standing, self._model, self._optimiser, self._average)
        watch.epoch(row)

    def _epoch(self, epoch: int, watch: Watch) -> dict[str, Any]:
        settings = self._settings
        torch.manual_seed(settings.seed * MODE_SEED + epoch)
        order = epoch_order(self._labels, settings.seed, epoch, settings.balance)
        steps = max(1, len(order) // settings.batch)
        frozen = epoch < settings.freeze_epochs
        set_mode(self._model, frozen=frozen, keep_statistics=settings.weights == TEACHER)
        watch.begin(epoch + 1, settings.epochs, steps)
        losses, right, seen, rate = [], 0, 0, 0.0
        for number, (crops, places) in enumerate(self._batches(epoch, order)):
            step = epoch * steps + number
            rate = settings.lr * rate_at(step, settings.epochs * steps)
            loss, hits = self._step(crops, places, rate)
            if self._average:
                follow(self._average, self._model, settings.average, step)
            losses.append(loss)
            right, seen = right + hits, seen + len(places)
            watch.step(loss)
        return {
            "epoch": epoch + 1,
            "frozen": frozen,
            "lr": rate,
            "train_loss": float(np.mean(losses)),
            "train_accuracy": right / seen,
        }

    def _batches(self, epoch: int, order: Ints) -> Iterator[tuple[Any, Ints]]:
        settings = self._settings
        return training_batches(
            self._examples.train,
            order,
            seed=settings.seed,
            epoch=epoch,
            batch=settings.batch,
            colour=settings.colour,
            workers=settings.threads,
        )

    def _step(self, crops: ImageArray, places: Ints, rate: float) -> tuple[float, int]:
        device = self._settings.device
        for group in self._optimiser.param_groups:
            group["lr"] = rate * group["share"]
        wanted, meta = torch.from_numpy(self._labels[places]).to(device), self._meta
        seen = [
            middle(crop, meta.share_of(self._examples.train[place].side_px), meta.imgsz)
            for crop, place in zip(crops, places.tolist(), strict=True)
        ]
        with self._arithmetic():
            logits = self._model(to_input(np.stack(seen), meta.mean, meta.std, device))
        loss = self._criterion.loss(logits.float(), crops, wanted)
        value = loss.item()
        if not np.isfinite(value):
            raise TrainingError("the loss is no longer a number; train with a lower --lr")
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        self._optimiser.step()
        return value, int((logits.argmax(dim=1) == wanted).sum())

    def _arithmetic(self) -> AbstractContextManager[Any]:
        if self._settings.precision != "bf16":
            return nullcontext()
        found: AbstractContextManager[Any] = torch.autocast(self._settings.device, torch.bfloat16)
        return found

    def _validate(self) -> dict[str, Any]:
        """Figures on the validation crops of the weights that would be kept."""
        own = {k: v.detach().clone() for k, v in self._model.state_dict().items()}
        if self._average:
            self._model.load_state_dict(self._average)
        val, settings = self._examples.val, self._settings
        logits = logits_of(
            self._model, self._meta, val, device=settings.device, workers=settings.threads
        )
        self._model.load_state_dict(own)
        figures = measure(logits, self._examples.labels(val), self._meta)
        return {
            "val_nll": figures["nll"],
            "val_accuracy": figures["accuracy"],
            "val_mean_recall": figures["mean_recall"],
            "val_target_auc": figures["target_auc"],
            "val_target_recall": figures["at_false_acceptance"][1]["recall"],
        }

    def _judge(self, row: dict[str, Any]) -> None:
        """Keep the weights when targets are told from the rest better; at a tie, likelihood."""
        score = [round(row["val_target_auc"], 4), -row["val_nll"]]
        row["kept"] = not self.standing.best or score > self.standing.best
        if row["kept"]:
            self.standing.best, self.standing.best_epoch = score, self.standing.epoch
            save_weights(self._out, self._average or self._model.state_dict())

    def conclude(self) -> FitMeta:
        """Calibrate the kept weights, and write what the folder is."""
        out, val, standing, meta = self._out, self._examples.val, self.standing, self._meta
        model = load_weights(out, meta)
        logits = logits_of(model, meta, val, workers=self._settings.threads)
        labels = self._examples.labels(val)
        found, drawn = calibration(logits, labels, [e.group for e in val], meta)
        figures = measure(logits, labels, meta) | {"calibration": found}
        figures |= {"best_epoch": standing.best_epoch, "epochs": standing.epoch}
        draw_curves(standing.rows, standing.best_epoch, out / "curves.png")
        draw_confusion(figures["confusion"], meta.classes, out / "confusion.png")
        write_confusion(figures["confusion"], meta.classes, out / "confusion.csv")
        draw_reliability(drawn, out / RELIABILITY)
        meta = replace(meta, temperature=found["temperature"], metrics=figures)
        write_meta(out, meta)
        return meta


def _standing(out: Path, asked: dict[str, Any]) -> Standing:
    """Where the run stands. Refuses a folder with other files, and a run asked otherwise."""
    found = read_standing(out)
    if found is None:
        strange = {p.name for p in out.iterdir()} if out.is_dir() else set()
        if strange - {"problems.csv", "log.csv", "classifier.safetensors", "reviewed"}:
            raise TrainingError(f"{out} holds other files; choose a new or empty --out")
        return Standing(asked)
    if other := sorted(k for k in asked if found.asked.get(k) != asked[k]):
        said = ", ".join(f"{k} was {_short(found.asked.get(k))}" for k in other)
        raise TrainingError(
            f"{out} was begun otherwise ({said}); give the same command, or another --out"
        )
    return found


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)


def _check_rule(examples: Examples, settings: TrainSettings) -> None:
    rule = examples.rule
    if settings.padding > rule.padding:
        raise TrainingError(
            f"the crops show {rule.padding:g} x their box, too little for --padding "
            f"{settings.padding:g}; mine again with --padding"
        )
    if settings.imgsz > (sharp := _sharp(rule, settings)):
        raise TrainingError(
            f"the crops are of {rule.imgsz} px, {sharp} of which it would see: too few for "
            f"--imgsz {settings.imgsz}; mine again with --crop-imgsz"
        )


def _sharp(rule: CropRule, settings: TrainSettings) -> int:
    """Pixels of a crop's side in what the network sees of it."""
    return round(rule.imgsz * (settings.padding or rule.padding) / rule.padding)


def _meta(
    model: torch.nn.Module,
    examples: Examples,
    settings: TrainSettings,
    standing: Standing,
    taught: str,
) -> FitMeta:
    mean, std = normalisation_of(model)
    rule = examples.rule
    used = {k: v for k, v in asdict(settings).items() if k != "weights"}
    return FitMeta(
        model=settings.model,
        classes=examples.classes,
        targets=examples.targets,
        imgsz=settings.imgsz or _sharp(rule, settings),
        crop_imgsz=rule.imgsz,
        padding=settings.padding or rule.padding,
        crop_padding=rule.padding,
        min_side=rule.min_side,
        colour=settings.colour,
        mean=mean,
        std=std,
        seed=settings.seed,
        trained_on=examples.trained_on(),
        settings=used | {"start": standing.start, "teacher": taught},
    )
