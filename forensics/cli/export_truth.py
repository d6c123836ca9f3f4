"""`forensics export-truth`: labels from one format into another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from forensics.cli.output import stderr, stdout
from forensics.errors import TruthError
from forensics.runlog.reader import open_run
from forensics.truth.base import Truth
from forensics.truth.load import FORMATS, load_truth
from forensics.truth.naming import MediaNames
from forensics.truth.write import WRITERS

SHOWN = 20
EXAMPLES = """
\b
Examples:
  forensics export-truth labels.coco.json --format cvat --out for-cvat
  forensics export-truth data/valid --format coco --out valid.json --run RUN

\b
COCO, MegaDetector, FiftyOne and spans become one file, ActEV one with its two indices beside it;
the others a new folder. What a format cannot carry is listed; what would change its meaning is
refused. Footage that the run holds is written by the run's path, with its extension.
"""


@click.command("export-truth", epilog=EXAMPLES)
@click.argument("truth_paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "kind", type=click.Choice(tuple(WRITERS)), required=True)
@click.option("--out", "target", type=click.Path(path_type=Path), required=True)
@click.option("--truth-format", type=click.Choice(FORMATS), help="Instead of telling by content.")
@click.option(
    "--run",
    "run_folder",
    type=click.Path(path_type=Path),
    help="A run over the footage: its paths, sizes, frame rates and durations.",
)
def export_command(
    truth_paths: tuple[Path, ...],
    kind: str,
    target: Path,
    truth_format: str | None,
    run_folder: Path | None,
) -> None:
    """Write labels in another format."""
    truth = load_truth(truth_paths, truth_format)
    facts: dict[str, Any] = {}
    if run_folder is not None:
        truth, facts = _joined(truth, kind, open_run(run_folder).media.to_pylist())
    losses = WRITERS[kind](truth, target, **facts)
    notes = [
        *losses,
        *(f"{problem.where}: {problem.what}" for problem in truth.problems),
        *(f"{name}: no labels that are known here; left out" for name in truth.skipped),
    ]
    for note in notes[:SHOWN]:
        stderr().print(f"  {note}", markup=False)
    if len(notes) > SHOWN:
        stderr().print(f"  and {len(notes) - SHOWN} more")
    frames = sum(len(media.frames) for media in truth.media)
    boxes = sum(len(media.boxes) for media in truth.media)
    spans = sum(len(media.spans) for media in truth.media)
    stdout().print(
        f"{len(truth.media)} files with {frames} frames, {boxes} boxes and {spans} spans were "
        f"read; {target} holds what {kind} can say of them",
        markup=False,
    )


def _joined(truth: Truth, kind: str, rows: list[dict[str, Any]]) -> tuple[Truth, dict[str, Any]]:
    """The truth with its footage named by the run's paths, and the facts that the writer wants."""
    names = MediaNames({row["path"]: number for number, row in enumerate(rows)})
    found = [names.find(m.name, m.source, suffix_known=m.suffix_known) for m in truth.media]
    media = tuple(
        medium if number is None else replace(medium, name=rows[number]["path"], suffix_known=True)
        for medium, number in zip(truth.media, found, strict=True)
    )
    joined = replace(truth, media=media)
    if kind == "spans":
        return joined, {}
    if kind == "actev":
        facts = {"frame_rates": "frame_rate_header", "durations": "duration_s"}
    else:
        _refuse_twice(truth, joined)
        facts = {"frame_rates": "frame_rate_header"} if kind == "megadetector" else {}
    held = [rows[number] for number in found if number is not None]
    said = {
        name: {row["path"]: row[column] for row in held if row.get(column)}
        for name, column in facts.items()
    }
    if kind == "actev":
        return joined, said
    sized = [row for row in held if row.get("width") and row.get("height")]
    return joined, said | {"sizes": {row["path"]: (row["width"], row["height"]) for row in sized}}


def _refuse_twice(given: Truth, joined: Truth) -> None:
    """Two names for one file would be written as two files of the same name."""
    first: dict[str, str] = {}
    for before, after in zip(given.media, joined.media, strict=True):
        if not len(after.frames):
            continue
        earlier = first.setdefault(after.name, before.name)
        if earlier != before.name:
            raise TruthError(
                f"{before.source}: {before.name} and {earlier} both mean {after.name} of the run; "
                "export their labels one after the other"
            )
