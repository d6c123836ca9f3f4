"""`forensics scan`."""

from __future__ import annotations

import math
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from forensics.backends import BACKENDS
from forensics.boxes import STRIDE
from forensics.cascade.definition import FILE_NAME, ZOO
from forensics.cli.main import GivenPath, exit_with
from forensics.cli.output import ScanProgress, show_building, stdout
from forensics.errors import EXIT_INCOMPLETE, EXIT_INTERRUPTED
from forensics.footage.find import common_base, display_name, find_inputs, passed_over
from forensics.footage.protocol import Sampling, StaticRule
from forensics.scan.local import ScanResult, scan
from forensics.scan.settings import ScanSettings, default_batch, default_settings
from forensics.tiling import MAX_OVERLAP, WHOLE, Tiling
from forensics.types import InputFile

SHOWN_PROBLEMS = 20
DEFAULT_TILE_OVERLAP = 0.2


@click.command(
    "scan",
    epilog="""\b
Examples:
  forensics scan cam1.mp4 --out RUN
  forensics scan /archive --recursive --camera '(cam[0-9]+)' --out RUN
  forensics scan /archive --recursive --time-sample 0.5 --gate operating-point --out RUN
  forensics scan cam1.mp4 --tiles 2x2 --out RUN      small objects, about 5 times the work
  forensics scan cam1.mp4 --imgsz 1280 --out RUN     likewise, about 4 times the work

Running the same command again goes on where an interrupted scan stopped.
Exit code 3: finished, but some footage was not scanned (listed at the end).""",
)
@click.argument("paths", nargs=-1, required=True, type=GivenPath())
@click.option("--out", "folder", required=True, type=GivenPath(), help="Run folder.")
@click.option(
    "--cascade",
    default="handgun",
    show_default=True,
    help="Bundled name, or a folder, written with a /: ./FOLDER.",
)
@click.option("--recursive", is_flag=True, help="Look into sub-folders.")
@click.option(
    "--camera",
    default="folder",
    show_default=True,
    help="What a camera is: folder (files directly in PATH are each their own), file, or a "
    "regular expression whose first group is taken from the path. Named within each PATH.",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", *BACKENDS]),
    default="auto",
    show_default=True,
)
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    metavar="auto|fp32|fp16|int8",
    help="Which model files to run: auto is the fastest that the cascade was checked with.",
)
@click.option(
    "--arithmetic",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="In what the networks compute: auto is the fastest that the cascade was checked with.",
)
@click.option("--frame-sample", type=click.IntRange(1), help="Process every N-th frame.")
@click.option(
    "--time-sample",
    type=click.FloatRange(0, min_open=True),
    help="Process one frame each SEC. Of footage without times all are; its row says so.",
)
@click.option("--keyframes-only", is_flag=True, help="Process the video's own keyframes only.")
@click.option(
    "--skip-static",
    is_flag=True,
    help="Pass over frames that look like the last processed one. They stay in the log as static.",
)
@click.option(
    "--static-refresh",
    type=click.FloatRange(0, min_open=True),
    metavar="SEC",
    help="With --skip-static: process a frame at least this often. "
    f"Default: {StaticRule().refresh_s:g}.",
)
@click.option(
    "--static-threshold",
    type=click.FloatRange(0, 255, min_open=True),
    metavar="GREY",
    help="With --skip-static: a frame is static while no part of it has changed by so many of 255 "
    f"grey levels, light that changes everywhere apart. Default: {StaticRule().threshold:g}.",
)
@click.option("--floor", type=click.FloatRange(0, 1), help="Lowest detector score that is logged.")
@click.option(
    "--gate",
    help="Detector score from which the classifier is asked: a number, or operating-point. "
    "Default: the floor, so that every threshold can be judged later.",
)
@click.option("--detector-only", is_flag=True, help="Leave the classifier out.")
@click.option("--imgsz", type=click.IntRange(32, 4096), help="Detector input size, pixels.")
@click.option(
    "--tiles",
    metavar="COLSxROWS",
    callback=lambda _context, _parameter, given: _grid(given),
    help="Besides the whole frame, look at so many overlapping tiles of it, each enlarged to the "
    "input size: finds smaller objects, and costs a look each. One number N means NxN.",
)
@click.option(
    "--tile-overlap",
    type=click.FloatRange(0, MAX_OVERLAP),
    help="Share of a tile that its neighbour sees as well. What is larger than that is left to the "
    f"view of the whole frame. Default: {DEFAULT_TILE_OVERLAP}.",
)
@click.option("--max-det", type=click.IntRange(1), help="Most boxes kept in a frame.")
@click.option(
    "--batch",
    type=click.IntRange(1, 64),
    help="Frames handed on at a time. Default: two for each thread, from 4 to 16. Results do not "
    "depend on it.",
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads. Default: all cores.")
@click.option("--overwrite", is_flag=True, help="Start again: removes the run that is in --out.")
def scan_command(paths: tuple[Path, ...], folder: Path, overwrite: bool, **options: Any) -> None:
    """Scan footage (files or folders) into a run folder."""
    inputs = find_inputs(paths, recursive=options["recursive"], camera=options["camera"])
    settings = settings_from(options)
    base = common_base(paths)
    result = run_scan(
        inputs,
        base,
        folder,
        settings,
        overwrite=overwrite,
        argv=sys.argv[1:],
        left_out=passed_over(paths, recursive=options["recursive"]),
    )
    print_summary(result)
    if result.interrupted:
        exit_with(EXIT_INTERRUPTED)
    if result.not_scanned:
        exit_with(EXIT_INCOMPLETE)


def settings_from(options: dict[str, Any]) -> ScanSettings:
    """Scan settings from command-line options; what is not given comes from the cascade."""
    for name in ("floor", "time_sample", "tile_overlap", "static_refresh", "static_threshold"):
        if options[name] is not None and not math.isfinite(options[name]):
            raise click.UsageError(f"--{name.replace('_', '-')} {options[name]} is no number")
    if options["imgsz"] and options["imgsz"] % STRIDE:
        raise click.UsageError(f"--imgsz {options['imgsz']} is not a multiple of {STRIDE}")
    default = default_settings(
        options["cascade"], options["backend"], options["arithmetic"], options["precision"]
    )
    floor = default.floor if options["floor"] is None else options["floor"]
    return replace(
        default,
        floor=floor,
        gate=_gate(options["gate"], floor, default.cascade.operating_point.detector),
        imgsz=options["imgsz"] or default.imgsz,
        tiling=_tiling(options["tiles"], options["tile_overlap"]),
        max_detections=options["max_det"] or default.max_detections,
        detector_only=options["detector_only"],
        sampling=_sampling(options),
        batch=options["batch"] or default_batch(options["threads"]),
        threads=options["threads"],
    )


def _sampling(options: dict[str, Any]) -> Sampling:
    steps = [options[name] for name in ("frame_sample", "time_sample", "keyframes_only")]
    if sum(map(bool, steps)) > 1:
        raise click.UsageError("give one of --frame-sample, --time-sample and --keyframes-only")
    given = {"refresh_s": options["static_refresh"], "threshold": options["static_threshold"]}
    values = {name: value for name, value in given.items() if value is not None}
    if values and not options["skip_static"]:
        raise click.UsageError("--static-refresh and --static-threshold need --skip-static")
    static = StaticRule(**values) if options["skip_static"] else None
    return Sampling(steps[0] or 1, steps[1], bool(steps[2]), static)


def run_scan(
    inputs: Sequence[InputFile],
    base: Path,
    folder: Path,
    settings: ScanSettings,
    *,
    overwrite: bool,
    argv: Sequence[str],
    left_out: Mapping[str, int] | None = None,
) -> ScanResult:
    """Scan with a progress display; a polite kill is treated as Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    n_cameras = len({file.camera_id for file in inputs})
    console = stdout(beside=True)
    console.print(f"{len(inputs)} files of {n_cameras} cameras; backend: {settings.backend_why}")
    if settings.backend == "tensorrt":
        console.print(f"frames on: {settings.frames_on}")
    console.print(_cascade_line(settings))
    if left_out:
        listed = ", ".join(f"{ending} {n}" for ending, n in left_out.items())
        console.print(f"passed over, by their endings: {listed}")
    with (
        show_building(),
        ScanProgress(sum(file.size_bytes for file in inputs), len(inputs)) as progress,
    ):
        return scan(
            inputs,
            base,
            folder,
            settings,
            progress=progress,
            argv=argv,
            overwrite=overwrite,
            passed_over=left_out,
        )


def _cascade_line(settings: ScanSettings) -> str:
    """Which cascade it is, so that another one of the same name does not pass for it."""
    cascade = settings.cascade
    where = "bundled" if cascade.folder.parent == ZOO else display_name(cascade.folder.resolve())
    said = f"cascade: {cascade.name} {cascade.version} ({where})"
    return f"{said}, SHA-256 of {FILE_NAME}: {cascade.sha256[:16]}..."


def print_summary(result: ScanResult) -> None:
    """Totals; then, last, what was not scanned."""
    console = stdout(beside=True)
    console.print(_totals(result))
    if result.static:
        console.print(f"{result.static} frames passed over as static; they are in the log")
    problems = result.not_scanned
    for row in problems[:SHOWN_PROBLEMS]:
        console.print(f"  {row['path']}: {row['status']}: {row['reason']}")
    if len(problems) > SHOWN_PROBLEMS:
        console.print(f"  and {len(problems) - SHOWN_PROBLEMS} more: see media.parquet")
    if result.interrupted:
        console.print("interrupted; run the same command again to go on")
    elif problems:
        console.print(f"{len(problems)} of {len(result.media)} files were not scanned completely")


def _totals(result: ScanResult) -> str:
    folder = display_name(result.folder)
    if result.nothing_to_do:
        return f"run folder {folder} is complete already: nothing is left to scan, nothing written"
    frames_per_s = result.frames / max(1e-9, result.elapsed_s)
    return (
        f"{result.frames} frames in {result.elapsed_s:.1f} s ({frames_per_s:.1f} frames/s), "
        f"run folder {folder}"
    )


def _grid(given: str | None) -> tuple[int, int] | None:
    """Columns and rows of --tiles."""
    if given is None:
        return None
    found = re.fullmatch(r"([1-9]\d?)(?:[xX]([1-9]\d?))?", given.strip())
    if found is None:
        raise click.BadParameter(f"{given!r}: write COLUMNSxROWS, such as 2x2 or 3x2")
    return int(found[1]), int(found[2] or found[1])


def _tiling(grid: tuple[int, int] | None, overlap: float | None) -> Tiling:
    if grid is None and overlap is not None:
        raise click.UsageError("--tile-overlap needs --tiles")
    if grid is None or grid == (1, 1):  # one tile is the whole frame
        return WHOLE
    return Tiling(*grid, DEFAULT_TILE_OVERLAP if overlap is None else overlap)


def _gate(value: str | None, floor: float, operating: float) -> float:
    if value is None:
        return floor
    if value == "operating-point":
        return max(floor, operating)
    try:
        gate = float(value)
    except ValueError:
        gate = -1.0
    if not 0 <= gate <= 1:
        raise click.UsageError(f"--gate {value!r}: give a score from 0 to 1, or operating-point")
    return gate
