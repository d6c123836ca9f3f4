"""The real command line, with segments so short that small clips have several of them.

With FORENSICS_TEST_KILL_AT=N the process kills itself, as the out-of-memory killer would, before
its N-th durable step: a sync, a rename, or a ledger transaction.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from forensics.cli import main as command_line
from forensics.cli import scan as scan_command
from forensics.runlog.ledger import Ledger
from forensics.scan.settings import ScanSettings
from tests.support.scans import SEGMENT_S

SettingsFrom = Callable[[dict[str, Any]], ScanSettings]


class Countdown:
    """Counts durable steps and kills the process at one of them."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def before(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*values: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*values, **options)

        return counted


def with_short_segments(settings_from: SettingsFrom) -> SettingsFrom:
    return lambda options: replace(settings_from(options), segment_s=SEGMENT_S)


def main() -> None:
    scan_command.settings_from = with_short_segments(scan_command.settings_from)
    if steps := os.environ.get("FORENSICS_TEST_KILL_AT"):
        countdown = Countdown(int(steps))
        os.fsync = countdown.before(os.fsync)
        os.replace = countdown.before(os.replace)
        Ledger._commit = countdown.before(Ledger._commit)  # type: ignore[method-assign]
    command_line.main(sys.argv[1:])


if __name__ == "__main__":
    main()
