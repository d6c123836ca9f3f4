"""The command group and its one error boundary."""

from __future__ import annotations

import io
import platform
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import forensics
from forensics.cli.groups import LazyGroup
from forensics.cli.streams import open_closed_streams, to_nowhere
from forensics.errors import EXIT_BUG, EXIT_INTERRUPTED, ForensicsError

# name -> module:attribute; loaded only when asked for, so that --help does not load a network.
COMMANDS = {
    "demo": "forensics.cli.demo:demo_command",
    "probe": "forensics.cli.probe:probe_command",
    "scan": "forensics.cli.scan:scan_command",
    "import-predictions": "forensics.cli.import_predictions:import_command",
    "export-truth": "forensics.cli.export_truth:export_command",
    "evaluate": "forensics.cli.evaluate:evaluate_command",
    "threshold": "forensics.cli.threshold:threshold_command",
    "compare": "forensics.cli.compare:compare_command",
    "report": "forensics.cli.report:report_command",
    "mine": "forensics.cli.mine:mine_command",
    "group": "forensics.cli.group:group_command",
    "train": "forensics.cli.train:train_group",
    "retrain": "forensics.cli.retrain:retrain_command",
    "calibrate": "forensics.cli.calibrate:calibrate_command",
    "export": "forensics.cli.export:export_command",
    "verify": "forensics.cli.verify:verify_command",
    "bench": "forensics.cli.bench:bench_command",
    "backends": "forensics.cli.info:backends_command",
    "models": "forensics.cli.info:models_command",
}


@click.group(
    cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(forensics.__version__, prog_name="forensics")
def cli() -> None:
    """Scan recorded footage with a two-network cascade, and prove what it buys.

    \b
    Typical use:
      forensics scan ARCHIVE --recursive --out RUN
      forensics evaluate RUN --truth LABELS
      forensics report RUN --truth LABELS --out report.html
    """


def main(argv: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name may hold bytes of no encoding
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: list[str]) -> int:
    """Run a command; return 0, 1, 2, 3, 4, 70 or 130 as the README's table says."""
    try:
        result = cli.main(args=argv, prog_name="forensics", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ForensicsError as error:
        _complain(f"error: {error}")
        return error.exit_code
    except click.ClickException as error:
        with _shown_or_not():
            error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        to_nowhere(sys.stdout)  # `| head` is no failure
        return 0
    except Exception as error:
        return _report_bug(error, argv)


def _report_bug(error: Exception, argv: list[str]) -> int:
    with tempfile.NamedTemporaryFile(
        "w", prefix="forensics-error-", suffix=".log", delete=False
    ) as log:
        log.write(f"forensics {forensics.__version__}, Python {platform.python_version()}, ")
        log.write(f"{platform.platform()}\n{argv!r}\n")
        log.writelines(traceback.format_exception(error))
    _complain(f"error: a bug in forensics ({error!r}); the traceback is in {log.name}")
    return EXIT_BUG


def _complain(text: str) -> None:
    with _shown_or_not():
        click.echo(text, err=True)


@contextmanager
def _shown_or_not() -> Iterator[None]:
    """The exit code says it too, should nobody read standard error."""
    try:
        yield
    except OSError:
        to_nowhere(sys.stderr)


class GivenPath(click.Path):
    """A path that was given. An empty text is none, though pathlib takes it for this folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        if value == "":
            self.fail("the path is empty; write . for the current folder", param, ctx)
        return super().convert(value, param, ctx)


def exit_with(code: int) -> Any:
    """Leave the current command with `code`."""
    raise click.exceptions.Exit(code)


if __name__ == "__main__":
    main()
