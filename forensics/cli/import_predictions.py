"""`forensics import-predictions`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from forensics.cli.main import exit_with
from forensics.cli.output import ScanProgress, stderr
from forensics.cli.scan import print_summary
from forensics.errors import EXIT_INCOMPLETE
from forensics.footage.find import common_base, find_inputs
from forensics.scan.import_manifest import MISSING, ImportOptions
from forensics.scan.imported import import_predictions
from forensics.truth.predictions import load_predictions

SHOWN_PROBLEMS = 20
EXAMPLES = """
\b
Examples:
  forensics import-predictions predict/labels --footage archive --missing empty --out RUN
  forensics import-predictions results.json --listing instances.json --footage images --out RUN
  forensics evaluate RUN --truth LABELS

\b
Read: COCO results (JSON), Ultralytics text (save_txt, save_conf, no vid_stride) and JSON
(to_json()). Text and JSON of one frame are named STEM for a still and STEM_N for frame N of a
video, counted from 1.
"""


@click.command("import-predictions", epilog=EXAMPLES)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--footage",
    "roots",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Footage that was scanned, file or folder; repeatable.",
)
@click.option("--out", "folder", required=True, type=click.Path(path_type=Path), help="Run folder.")
@click.option("--recursive", is_flag=True, help="Look for footage in sub-folders too.")
@click.option("--camera", default="folder", show_default=True, help="What a camera is: see scan.")
@click.option(
    "--listing",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="COCO file that says what image and category ids mean.",
)
@click.option(
    "--names",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="data.yaml with class names of text files. Default: one beside them, else numbers.",
)
@click.option("--target", "targets", multiple=True, help="Class that is looked for; repeatable.")
@click.option(
    "--missing",
    type=click.Choice(MISSING),
    default=MISSING[0],
    show_default=True,
    help="What frames are of which the files say nothing: empty = looked at, nothing found.",
)
@click.option(
    "--floor",
    type=click.FloatRange(0, 1),
    help="Score below which the tool kept nothing. Default: the lowest score there is.",
)
@click.option(
    "--detector-threshold",
    "threshold",
    type=click.FloatRange(0, 1),
    help="Score from which a box is an alarm. Default: 0.25, or the floor.",
)
def import_command(  # noqa: PLR0913, PLR0917 - one per option
    files: tuple[Path, ...],
    roots: tuple[Path, ...],
    folder: Path,
    recursive: bool,
    camera: str,
    listing: Path | None,
    names: Path | None,
    targets: tuple[str, ...],
    missing: str,
    floor: float | None,
    threshold: float | None,
) -> None:
    """Make a run folder from other tools' detections, to evaluate them like a scan."""
    inputs = find_inputs(roots, recursive=recursive, camera=camera)
    predictions = load_predictions(files, listing=listing, names=names)
    options = ImportOptions(targets, floor, threshold, missing)
    with ScanProgress(sum(file.size_bytes for file in inputs), len(inputs)) as progress:
        done = import_predictions(
            inputs,
            common_base(roots),
            folder,
            predictions,
            options,
            progress=progress,
            argv=sys.argv[1:],
        )
    for problem in done.problems[:SHOWN_PROBLEMS]:
        stderr().print(f"  {problem}", markup=False)
    if len(done.problems) > SHOWN_PROBLEMS:
        stderr().print(f"  and {len(done.problems) - SHOWN_PROBLEMS} more")
    print_summary(done.result)
    if done.result.not_scanned:
        exit_with(EXIT_INCOMPLETE)
