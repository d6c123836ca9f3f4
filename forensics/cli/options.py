"""Options that several commands share, as decorators, and how their values are read."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from forensics.cascade.definition import FILE_NAME, check_given
from forensics.errors import ForensicsError
from forensics.evaluation.rules import UNLABELLED, point_at
from forensics.runlog.reader import RunTables
from forensics.truth.base import Truth
from forensics.truth.load import FORMATS, load_truth
from forensics.types import OperatingPoint

Command = TypeVar("Command", bound=Callable[..., Any])
OFF = "off"


@dataclass(frozen=True, slots=True)
class GivenTruth:
    """What the command line says of the truth; `paths` is empty where none was given."""

    paths: tuple[Path, ...]
    format: str | None
    class_map: dict[str, str]
    unlabelled: str

    def load(self) -> Truth:
        """Read every file. Raises TruthError."""
        return load_truth(self.paths, self.format)


def truth_options(
    *,
    required: bool,
    without: str = "Without it: an investigator's report.",
    class_map_alone: bool = False,
) -> Callable[[Command], Command]:
    """Add --truth, --truth-format, --class-map and --unlabelled; they arrive as `given`.

    `without` says in the help what happens without truth; `class_map_alone`: --class-map has a
    meaning then too.
    """

    def add(command: Command) -> Command:
        @functools.wraps(command)
        def gathered(
            *args: Any,
            truth_paths: tuple[Path, ...],
            truth_format: str | None,
            class_map: dict[str, str],
            unlabelled: str,
            **options: Any,
        ) -> Any:
            if (truth_format or (class_map and not class_map_alone)) and not truth_paths:
                raise click.UsageError("--truth-format and --class-map need --truth")
            given = GivenTruth(truth_paths, truth_format, class_map, unlabelled)
            return command(*args, given=given, **options)

        with_options: Any = gathered
        for option in reversed(_truth_options(required, without)):
            with_options = option(with_options)
        wrapped: Command = with_options
        return wrapped

    return add


def _truth_options(required: bool, without: str) -> list[Callable[[Any], Any]]:
    more = "" if required else f" {without}"
    return [
        click.option(
            "--truth",
            "truth_paths",
            type=click.Path(path_type=Path),
            multiple=True,
            required=required,
            help=f"Truth file or folder; may be given several times, formats may differ.{more}",
        ),
        click.option(
            "--truth-format",
            type=click.Choice(FORMATS),
            help="Instead of telling by content.",
        ),
        click.option(
            "--class-map",
            multiple=True,
            callback=class_map,
            metavar="TRUTH=RUN",
            help="Name a truth class as the run does; nothing after = drops the class. Repeatable.",
        ),
        click.option(
            "--unlabelled",
            type=click.Choice(UNLABELLED),
            default="skip",
            show_default=True,
            help="What images and frames without any label are.",
        ),
    ]


def class_map(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Read repeated OLD=NEW values of an option into old -> new."""
    pairs = [text.partition("=") for text in given]
    if any(not old.strip() or not equals for old, equals, _new in pairs):
        raise click.BadParameter("write OLD=NEW, or OLD= to drop the class")
    return {old.strip(): new.strip() for old, _equals, new in pairs}


def given_cascade(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    """A bundled cascade's name, or a folder with a / in it, as `scan` takes them.

    Raises CascadeError on a bare folder name.
    """
    if given is not None:
        check_given(given)
    return given


def given_network(
    context: click.Context, option: click.Parameter, given: str | None
) -> str | None:
    """A file or folder of a trained network, or a cascade, which is given as elsewhere."""
    if given is not None and (Path(given) / FILE_NAME).is_file():
        return given_cascade(context, option, given)
    return given


def threshold_or_off(
    context: click.Context, option: click.Parameter, given: str | None
) -> float | str | None:
    """Read a number from 0 to 1, or the word `off`, which switches the classifier off."""
    if given is None or given == OFF:
        return given
    return float(click.FloatRange(0, 1)(given, option, context))


def chosen_point(
    run: RunTables, detector: float | None, classifier: float | str | None
) -> OperatingPoint:
    """The operating point that the options ask for; the scan's own thresholds where None."""
    if isinstance(classifier, str):
        return OperatingPoint(point_at(run, detector).detector, None)
    return point_at(run, detector, classifier)


def emit(text: str, out: Path | None) -> None:
    """Print, or write to the file `out`."""
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ForensicsError(f"cannot write {out}: {error.strerror}; choose --out") from error
