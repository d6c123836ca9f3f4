"""What the training commands share: progress of epochs, and how a trained classifier is shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from forensics.cli.options import class_map
from forensics.cli.output import WithBar, stderr, stdout

if TYPE_CHECKING:  # importing it would load a training framework
    from forensics.training.classifier_model import FitMeta

Command = TypeVar("Command", bound=Callable[..., Any])
threads_option = click.option(
    "--threads", type=click.IntRange(1), default=os.cpu_count() or 1, help="Default: all cores."
)
# How a training run computes.
MACHINE_OPTIONS = [
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
    click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True),
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16"]),
        default="auto",
        show_default=True,
        help="Arithmetic of training steps; validation is always fp32.",
    ),
    threads_option,
]


def freeze_epochs(default: int) -> Callable[[Command], Command]:
    """`--freeze-epochs N`."""
    return click.option(
        "--freeze-epochs",
        type=click.IntRange(0),
        default=default,
        show_default=True,
        help="Epochs in which only the last layer learns.",
    )


def crop_class_map(what: str) -> Callable[[Command], Command]:
    """`--class-map OLD=NEW` of crop labels, given to the command as `mapped`."""
    return click.option(
        "--class-map",
        "mapped",
        multiple=True,
        callback=class_map,
        metavar="OLD=NEW",
        help=f"{what} Repeatable.",
    )


def with_options(options: Sequence[Callable[[Any], Any]]) -> Callable[[Command], Command]:
    """Add several options to a command, in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


class EpochProgress(WithBar):
    """A bar for the steps of an epoch on a terminal; a line for each epoch everywhere."""

    def __init__(self) -> None:
        self._console = stderr()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=1)
        self._epochs = 0

    def begin(self, epoch: int, epochs: int, steps: int) -> None:
        if not self._epochs and epoch > 1:
            self._console.print(f"goes on with epoch {epoch} of {epochs}")
        self._epochs = epochs
        self._bar.reset(self._task, total=steps, description=f"epoch {epoch}/{epochs}")

    def step(self, loss: float) -> None:
        self._bar.update(self._task, advance=1)

    def epoch(self, row: dict[str, Any]) -> None:
        loss = row["train_loss"]
        done = "as it begins" if loss is None else f"epoch {row['epoch']}/{self._epochs}"
        text = (
            f"{done}: {'' if loss is None else f'loss {loss:.3f}, '}validation nll "
            f"{row['val_nll']:.3f}, target AUC {share(row['val_target_auc'])}, mean recall "
            f"{share(row['val_mean_recall'])}, {row['seconds']:.0f} s"
        )
        self._console.print(text + (" (best)" if row["kept"] else ""))


def show_fit(meta: FitMeta, out: Path) -> None:
    """Print the figures of a trained classifier, each with its counts, and what to do next."""
    console, figures = stdout(), meta.metrics
    counts = meta.trained_on["counts"]["train"]
    table = Table("class", "train", "validation", "recall", "precision", box=None)
    for name, row in figures["per_class"].items():
        table.add_row(
            f"{name} (target)" if name in meta.targets else name,
            str(counts[name]),
            str(row["crops"]),
            of(row["recall"], row["found"], row["crops"]),
            of(row["precision"], row["found"], row["said"]),
        )
    console.print(table)
    console.print(f"target against the rest: ROC AUC {share(figures['target_auc'])}")
    for row in figures["at_false_acceptance"]:
        console.print(
            f"  recall {of(row['recall'], row['found'], row['targets'])} at "
            f"{row['false']}/{row['others']} false (at most {row['allowed']:.0%} allowed)"
        )
    show_calibration(figures["calibration"])
    console.print(f"best epoch {figures['best_epoch']} of {figures['epochs']}; wrote {out}")
    console.print(f"next: forensics export with {out} as the classifier")


def show_calibration(found: dict[str, Any]) -> None:
    """Print a temperature and what it changes."""
    before, after = found["before"], found["after"]
    crossed = found["cross_fitted"]
    how = "cross-fitted between cameras" if crossed else "judged on the crops it was fitted on"
    console = stdout()
    console.print(f"temperature {found['temperature']:.3f}, {found['crops']} crops, {how}:")
    for key, name in (("nll", "nll"), ("ece", "ECE"), ("target_ece", "ECE of the target")):
        console.print(f"  {name} {before[key]:.4f} -> {after[key]:.4f}")
    if found["at_the_end_of_the_range"]:
        console.print("  the temperature is at the end of its range: too few or odd crops")


def share(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def of(value: float | None, part: int, whole: int) -> str:
    return f"{share(value)} ({part}/{whole})"
