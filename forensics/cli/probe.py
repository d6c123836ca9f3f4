"""`forensics probe`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from forensics.cli.main import GivenPath, exit_with
from forensics.cli.output import stdout
from forensics.errors import EXIT_INCOMPLETE
from forensics.footage.find import find_inputs
from forensics.footage.probe import probe_file
from forensics.types import InputFile, Status

NOT_CHECKED = "not checked"


@click.command(
    "probe",
    epilog="""\b
Examples:
  forensics probe /archive --recursive
  forensics probe cam1.mp4 --count --format json""",
)
@click.argument("paths", nargs=-1, required=True, type=GivenPath())
@click.option("--recursive", is_flag=True, help="Look into sub-folders.")
@click.option(
    "--count",
    is_flag=True,
    help="Decode every frame, and count them. Damage is found in this way only: without it, the "
    f"status of a video whose header can be read is {NOT_CHECKED!r}.",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
def probe_command(paths: tuple[Path, ...], recursive: bool, count: bool, form: str) -> None:
    """Show what footage is there: container, codec, size, times; with --count, damage too."""
    files = find_inputs(paths, recursive=recursive)
    rows = [_probe(file, count=count) for file in files]
    if form == "json":
        click.echo(json.dumps(rows, indent=1))
    else:
        stdout().print(_table(rows, count=count))
    if any(row["status"] not in {str(Status.OK), NOT_CHECKED} for row in rows):
        exit_with(EXIT_INCOMPLETE)


def _probe(file: InputFile, *, count: bool) -> dict[str, Any]:
    """A header that can be read says nothing of the frames; a still is decoded in any case."""
    row = probe_file(file, count=count)
    if row["status"] == Status.OK and not count and not file.is_still:
        row["status"] = NOT_CHECKED
    return row


def _table(rows: list[dict[str, Any]], *, count: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("file", "codec", "size", "frames/s", "frames", "duration", "start", "status"):
        table.add_column(name, overflow="fold")
    for row in rows:
        frames = row.get("frames_decoded") if count else row.get("frames_header")
        cells = (
            row["path"],
            row.get("codec", "-"),
            f"{row['width']}x{row['height']}" if "width" in row else "-",
            _number(row.get("frame_rate_header"), "{:.3f}"),
            _number(frames, "{}") + ("" if count or frames is None else " (header)"),
            _number(row.get("duration_s"), "{:.3f} s"),
            _number(row.get("start_time_s"), "{:.3f} s"),
            row["status"] + (f": {row['reason']}" if row["reason"] else ""),
        )
        table.add_row(*map(Text, cells))  # a name may look like markup
    return table


def _number(value: Any, form: str) -> str:
    return "-" if value is None else form.format(value)
