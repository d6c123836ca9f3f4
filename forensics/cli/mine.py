"""`forensics mine`: footage, pictures or a run, with truth, become a crop data set."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forensics.backends import BACKENDS
from forensics.cascade.definition import load_cascade
from forensics.cli.main import exit_with
from forensics.cli.options import GivenTruth, given_cascade, truth_options
from forensics.cli.output import counting, stdout
from forensics.cli.scan import print_summary, run_scan, settings_from
from forensics.errors import EXIT_INTERRUPTED, CascadeError
from forensics.footage.find import common_base, find_inputs, passed_over
from forensics.runlog.manifest import FILE_NAME as RUN_FILE
from forensics.runlog.reader import RunTables, open_run
from forensics.truth.load import load_truth

if TYPE_CHECKING:
    from forensics.training.crops import CropRule
    from forensics.training.publish import Mined, MineSettings

SHOWN_PROBLEMS = 10
EXAMPLES = """
\b
Examples:
  forensics mine /archive --recursive --truth spans.csv --out crops
  forensics mine photos --recursive --camera file --truth labels --out crops
      --class-map pistol=gun --class-map phone=cell_phone --confuser cell_phone --truth-crops
  forensics mine RUN --truth labels --val 'yard*' --max-false-alarms-per-source 50 --out crops
  forensics mine objects --recursive --label-from-folder --class-map revolver=gun
      --class-map '*=other' --out crops

Running the same command again goes on with an interrupted scan. Next: forensics group CROPS.
"""


@click.command("mine", epilog=EXAMPLES)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@truth_options(
    required=False, without="Not with --label-from-folder.", class_map_alone=True
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("crops"), show_default=True,
    help="New folder for the crops.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the crops that are in --out.")
@click.option(
    "--cascade",
    callback=given_cascade,
    help="Bundled name or folder (./FOLDER). Default: the run's, or handgun.",
)
@click.option("--recursive", is_flag=True, help="Look into sub-folders.")
@click.option(
    "--camera",
    help="What stays in one split: folder, file, or a regular expression with a group, as scan "
    "has it. Default: folder; file with --label-from-folder.",
)
@click.option(
    "--backend", type=click.Choice(["auto", *BACKENDS]), default="auto",
    show_default=True,
)  # fmt: skip
@click.option("--imgsz", type=click.IntRange(32, 4096), help="Detector input size, pixels.")
@click.option("--floor", type=click.FloatRange(0, 1), default=0.01, show_default=True,
              help="Lowest detector score that is cut.")  # fmt: skip
@click.option("--frame-sample", type=click.IntRange(1), help="Process every N-th frame.")
@click.option("--time-sample", type=click.FloatRange(0, min_open=True), help="One frame each SEC.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads. Default: all cores.")
@click.option("--confuser", "confusers", multiple=True, metavar="CLASS",
              help="Truth class that is told apart from other. Repeatable.")  # fmt: skip
@click.option("--truth-crops", is_flag=True, help="Also cut the truth's own boxes.")
@click.option("--label-from-folder", is_flag=True,
              help="Whole pictures; the class is the folder's name.")  # fmt: skip
@click.option("--max-per-source", type=click.IntRange(1),
              help="Most crops of each kind from one file.")  # fmt: skip
@click.option("--max-false-alarms-per-source", type=click.IntRange(1),
              help="Most false alarms from one file.")  # fmt: skip
@click.option("--duplicate-bits", type=click.IntRange(0, 128), default=24, show_default=True,
              help="Pictures within so many of 256 hash bits are duplicates.")  # fmt: skip
@click.option("--val-share", type=click.FloatRange(0, 1, max_open=True), default=0.2,
              show_default=True, help="Share of the cameras that validate.")  # fmt: skip
@click.option("--val", "val", multiple=True, metavar="GLOB",
              help="Camera or source that validates, instead of a share. Repeatable.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--crop-imgsz", type=click.IntRange(32, 1024), help="Default: as the cascade.")
@click.option("--padding", type=click.FloatRange(0, 10, min_open=True), help="As the cascade.")
@click.option("--min-side", type=click.IntRange(1, 4096), help="As the cascade.")
def mine_command(paths: tuple[Path, ...], given: GivenTruth, out: Path, **options: Any) -> None:
    """Cut training crops out of PATHS: a run folder, footage or pictures, with their truth.

    The detector runs alone at a low floor; each detection becomes a target, a near miss, a false
    alarm or a confuser by its overlap with the truth. What truth cannot judge is left out and
    counted. Cameras are split whole, and near-duplicates are kept out of different splits.
    """
    from forensics.training.mine import mine_folders, mine_run
    from forensics.training.publish import partial_folder

    by_folder = options["label_from_folder"]
    if bool(given.paths) == by_folder:
        raise click.UsageError("give --truth, or --label-from-folder for folders of one class each")
    partial = partial_folder(out, overwrite=options["overwrite"])
    is_run = len(paths) == 1 and (paths[0] / RUN_FILE).is_file()
    run = None
    if is_run:
        run = open_run(paths[0])
    elif not by_folder:
        run = _scan(paths, partial / "run", options)
    settings = _settings(given, options, run)
    with counting("cutting") as progress:
        if run is not None:
            truth = load_truth(given.paths, given.format, lenient=True)
            mined = mine_run(
                run, truth, out, settings, overwrite=options["overwrite"], progress=progress
            )
        else:
            inputs = find_inputs(
                paths, recursive=options["recursive"], camera=options["camera"] or "file"
            )
            targets = load_cascade(options["cascade"] or "handgun").target_classes
            mined = mine_folders(
                inputs, targets, out, settings, overwrite=options["overwrite"], progress=progress
            )
    _show(mined, out)


def _scan(paths: tuple[Path, ...], folder: Path, options: dict[str, Any]) -> RunTables:
    """Run the detector alone into `folder`, or go on where that stopped."""
    camera, recursive = options["camera"] or "folder", options["recursive"]
    inputs = find_inputs(paths, recursive=recursive, camera=camera)
    wanted = ("backend", "imgsz", "floor", "frame_sample", "time_sample", "threads")
    fixed: dict[str, Any] = {"precision": "fp32", "arithmetic": "auto", "gate": None}
    fixed |= {"tiles": None, "tile_overlap": None, "keyframes_only": False}
    fixed |= {"skip_static": False, "static_refresh": None, "static_threshold": None}
    fixed |= {"max_det": None, "detector_only": True, "batch": None}
    cascade = {"cascade": options["cascade"] or "handgun"}
    settings = settings_from({name: options[name] for name in wanted} | fixed | cascade)
    result = run_scan(
        inputs,
        common_base(paths),
        folder,
        settings,
        overwrite=False,
        argv=sys.argv[1:],
        left_out=passed_over(paths, recursive=recursive),
    )
    print_summary(result)
    if result.interrupted:
        exit_with(EXIT_INTERRUPTED)
    return open_run(folder)


def _settings(given: GivenTruth, options: dict[str, Any], run: RunTables | None) -> MineSettings:
    from forensics.training.candidates import Classes
    from forensics.training.cutting import Limits
    from forensics.training.publish import MineSettings
    from forensics.training.splits import SplitRule

    return MineSettings(
        classes=Classes(given.class_map, options["confusers"], given.unlabelled),
        rule=_rule(options, run),
        limits=Limits(
            options["max_per_source"],
            options["max_false_alarms_per_source"],
            options["duplicate_bits"],
            options["seed"],
        ),
        split=SplitRule(options["val_share"], options["val"], options["seed"]),
        truth_boxes=options["truth_crops"],
    )


def _rule(options: dict[str, Any], run: RunTables | None) -> CropRule:
    """The cascade's crop rule, where it has one; options come first."""
    from forensics.training.crops import CropRule

    name = options["cascade"] or ("handgun" if run is None else run.manifest["cascade"]["name"])
    try:
        second = load_cascade(name).classifier
    except CascadeError:
        if options["cascade"]:
            raise
        second = None  # an imported run, or a cascade that is not bundled
    rule = CropRule()
    if second is not None:
        rule = CropRule(second.imgsz, second.padding, second.min_side)
    given = {"imgsz": "crop_imgsz", "padding": "padding", "min_side": "min_side"}
    return replace(rule, **{n: options[o] for n, o in given.items() if options[o] is not None})


def _show(mined: Mined, out: Path) -> None:
    console = stdout()
    for split, labels in mined.crops.counts().items():
        listed = ", ".join(f"{name or 'near misses'} {n}" for name, n in labels.items())
        console.print(f"{split}: {listed}", markup=False)
    console.print(f"crop rule: {mined.crops.rule.words()} px", markup=False)
    for count, what in ((n, why) for why, n in mined.left_out.items()):
        console.print(f"left out: {count} detections {what}", markup=False)
    for why, count in mined.thinned.items():
        if count:
            console.print(f"thinned: {count} {why}", markup=False)
    for note in mined.notes:
        console.print(f"note: {note}", markup=False)
    grouped: dict[str, list[str]] = {}
    for problem in mined.problems:
        grouped.setdefault(problem.what, []).append(problem.where)
    for what, places in [*grouped.items()][:SHOWN_PROBLEMS]:
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        console.print(f"  {places[0]}{more}: {what}", markup=False)
    if mined.problems:
        console.print(f"all {len(mined.problems)} problems: {out}/problems.csv", markup=False)
    console.print(f"wrote {out}; next: forensics group {out}", markup=False)
