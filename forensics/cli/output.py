"""Console output that commands share. File names are shown with odd characters escaped."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from forensics.backends import BUILDING
from forensics.cli.streams import SteadyStream

LOG_EVERY_S = 10.0


PLAIN_WIDTH = 160  # where no terminal says how wide it is


def _console(stream: TextIO | None, failures: tuple[type[Exception], ...]) -> Console:
    """Text is shown as it is: file names may look like markup or like the code of an emoji."""
    # While a bar is shown, rich puts a stand-in in the stream's place.
    file: Any = SteadyStream(getattr(stream, "rich_proxied_file", stream), failures)
    return Console(file=file, highlight=False, soft_wrap=True, markup=False, emoji=False)


def stdout(*, beside: bool = False) -> Console:
    """For results; wide enough for tables where output goes to a file or a pipe.

    A reader that has gone, as in `| head`, is no failure. `beside`: nor is any other, because
    the results are elsewhere.
    """
    console = _console(sys.stdout, (OSError, ValueError) if beside else (BrokenPipeError,))
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def stderr() -> Console:
    """For progress; never a reason to end."""
    return _console(sys.stderr, (OSError, ValueError))


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, told how many are done of how many."""
    console = stderr()
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


@contextmanager
def show_building() -> Iterator[None]:
    """Say how far the building of an engine is: a line for each tenth."""
    console = stderr()
    said: dict[str, int] = {}

    def show(name: str, done: float) -> None:
        tenth = int(10 * done)
        if tenth > said.get(name, -1):
            said[name] = tenth
            console.print(f"building an engine of {name}: {10 * tenth} %")

    token = BUILDING.set(show)
    try:
        yield
    finally:
        BUILDING.reset(token)


class WithBar:
    """Shows its bar while it is a context."""

    _bar: Progress

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


class ScanProgress(WithBar):
    """A progress bar on a terminal, a plain line every ten seconds elsewhere."""

    def __init__(self, total_bytes: int, n_files: int) -> None:
        self._console = stderr()
        self._n_files = n_files
        self._files = self._frames = 0
        self._footage_s = 0.0
        self._started = self._logged = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=max(1, total_bytes))

    def frames(self, n: int) -> None:
        self._frames += n
        self._show()

    def segment(self, footage_s: float) -> None:
        self._footage_s += footage_s
        self._show()

    def file(self, row: dict[str, Any], size_bytes: int) -> None:
        self._files += 1
        self._bar.advance(self._task, size_bytes)
        if row.get("status") not in {None, "ok"}:
            text = f"{row['path']}: {row['status']}: {row['reason']}"
            self._bar.console.print(text, style="yellow")
        self._show()

    def _show(self) -> None:
        elapsed_s = max(1e-9, time.monotonic() - self._started)
        text = (
            f"file {self._files}/{self._n_files}, {self._frames} frames, "
            f"{self._frames / elapsed_s:.1f} frames/s, {self._footage_s / elapsed_s:.1f} h/h"
        )
        self._bar.update(self._task, description=text)
        if self._bar.disable and time.monotonic() - self._logged >= LOG_EVERY_S:
            self._logged = time.monotonic()
            self._console.print(text)
