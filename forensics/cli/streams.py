"""Output, errors and input of the process, where a caller closed them or nobody reads them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, TextIO


class SteadyStream:
    """A stream to which nothing more is written once that has failed.

    Showing is not the job: a closed terminal, or `| head`, must not end a scan that runs for hours.
    """

    def __init__(self, stream: TextIO | None, failures: tuple[type[Exception], ...]) -> None:
        self._stream = stream
        self._failures = failures
        self._broken = stream is None  # the caller closed it

    def write(self, text: str) -> int:
        self._attempt("write", text)
        return len(text)

    def flush(self) -> None:
        self._attempt("flush")

    def _attempt(self, act: str, *values: str) -> None:
        if self._broken:
            return
        try:
            getattr(self._stream, act)(*values)
        except self._failures:
            self._broken = True
            to_nowhere(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def to_nowhere(stream: TextIO | None) -> None:
    """Lead a stream that cannot be written away, or Python fails on it once more at its end."""
    if stream is None:
        return
    with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def open_closed_streams() -> None:
    """Where a caller closed input, output or errors, no other file may get their number.

    Libraries write their complaints to number 2, whatever file that is.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(opened, True)
