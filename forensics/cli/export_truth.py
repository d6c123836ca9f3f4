"""`forensics export-truth`: labels from one format into another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from forensics.cli.output import stderr, stdout
from forensics.evaluation.naming import MediaNames
from forensics.runlog.reader import open_run
from forensics.truth.base import Truth
from forensics.truth.load import FORMATS, load_truth
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
refused.
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
    help="A run over the footage: its sizes, frame rates and durations.",
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
    losses = WRITERS[kind](truth, target, **_facts(truth, kind, run_folder))
    notes = [*losses, *(f"{problem.where}: {problem.what}" for problem in truth.problems)]
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


def _facts(truth: Truth, kind: str, run_folder: Path | None) -> dict[str, Any]:
    """Facts of the footage, where the writer wants them and a run knows them."""
    if run_folder is None or kind == "spans":
        return {}
    rows = open_run(run_folder).media.to_pylist()
    names = MediaNames({row["path"]: number for number, row in enumerate(rows)})
    sizes, rates, durations = {}, {}, {}
    for media in truth.media:
        number = names.find(media.name, media.source, suffix_known=media.suffix_known)
        row = {} if number is None else rows[number]
        if row.get("width") and row.get("height"):
            sizes[media.name] = (row["width"], row["height"])
        if row.get("frame_rate_header"):
            rates[media.name] = row["frame_rate_header"]
        if row.get("duration_s"):
            durations[media.name] = row["duration_s"]
    if kind == "actev":
        return {"frame_rates": rates, "durations": durations}
    return {"sizes": sizes} | ({"frame_rates": rates} if kind == "megadetector" else {})
