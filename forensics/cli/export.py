"""`forensics export`: trained networks become a cascade folder that a scan takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from forensics.cli.options import GivenTruth, given_cascade, given_network, truth_options
from forensics.cli.output import ScanProgress, show_building, stderr, stdout
from forensics.footage.find import find_inputs

EXAMPLES = """
\b
Examples:
  forensics export --detector RUN/weights/best.pt --classifier FIT --calibration footage/ordinary \\
    --validation validation/ --truth validation/labels --name handgun --version 1.0.0 --out NEW
  forensics export --detector handgun --calibration clips/ --no-int8 \\
    --name mine --version 1.0 --out NEW
  forensics scan /archive --recursive --cascade ./NEW --out RUN
  forensics export --to tensorrt
  forensics export --to tensorrt --cascade ./NEW --compute-capability 8.9 --out ENGINES

INT8 and FP16 files are set against FP32 on the validation footage. If more decisions flip, or
more recall is lost, than allowed, the folder is left as OUT.rejected and the exit code is 1.
"""


REQUIRED = ("detector", "calibration", "name", "version", "out")


@click.command("export", epilog=EXAMPLES)
@click.option(
    "--to",
    "kind",
    type=click.Choice(["cascade", "tensorrt"]),
    default="cascade",
    show_default=True,
    help="tensorrt: build the engines of --cascade ahead of a scan; needs no other option.",
)
@click.option(
    "--cascade",
    default="handgun",
    show_default=True,
    callback=given_cascade,
    help="For --to tensorrt: bundled name or folder (./FOLDER).",
)
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    metavar="auto|fp32|fp16|int8",
    help="For --to tensorrt: auto is the fastest that the cascade was checked with.",
)
@click.option(
    "--compute-capability",
    metavar="X.Y",
    help="For --to tensorrt: of another GPU than the one here; TensorRT-RTX only.",
)
@click.option(
    "--detector", callback=given_network, help="best.pt, an .onnx file, or a cascade (./FOLDER)."
)
@click.option(
    "--classifier",
    callback=given_network,
    help="FIT folder, .onnx file or cascade (./FOLDER). Default: that of --base.",
)
@click.option(
    "--base",
    default="handgun",
    show_default=True,
    callback=given_cascade,
    help="Cascade from which settings are taken that the networks do not say.",
)
@click.option(
    "--calibration",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Footage or pictures to calibrate INT8 with; not those of --validation. Repeatable.",
)
@click.option(
    "--validation",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Footage or pictures that --truth labels. Repeatable.",
)
@truth_options(required=False)
@click.option("--name", help="Name of the new cascade.")
@click.option("--version", "version", help="Its version.")
@click.option("--licence", default="AGPL-3.0-or-later", show_default=True)
@click.option("--description", default="", help="One line. Default: the base's.")
@click.option(
    "--operating-point",
    type=(float, float),
    metavar="D C",
    help="Detector and classifier threshold. Default: the base's.",
)
@click.option("--chosen", default="", help="How the operating point was chosen, for the record.")
@click.option("--imgsz", type=click.IntRange(32, 4096), help="Detector input size, pixels.")
@click.option(
    "--frames",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    help="Most calibration frames.",
)
@click.option("--int8/--no-int8", default=True, show_default=True)
@click.option("--fp16", is_flag=True, help="Also write FP16 files, for TensorRT.")
@click.option(
    "--max-flips",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Share of decisions within 2 logits of the operating point that may flip.",
)
@click.option(
    "--max-recall-loss",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Recall at equal false alarms that may be lost, of 1.",
)
@click.option(
    "--min-found",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Targets that FP32 must find on the validation footage, for parity to be judged.",
)
@click.option("--backend", default="auto", show_default=True, help="Engine of the parity scans.")
@click.option(
    "--card-data",
    type=click.Path(path_type=Path),
    help="TOML with [[source]] name, licence, counts and [settings], for the card.",
)
@click.option("--figures", type=click.Path(path_type=Path), help="JSON of figures, for the card.")
@click.option("--failures", type=click.Path(path_type=Path), help="Text on known failures.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="New cascade folder; with --to tensorrt, where engines are kept (default: where a scan "
    "looks for them, $FORENSICS_ENGINES or the user's cache folder).",
)
def export_command(given: GivenTruth, kind: str, out: Path | None, **options: Any) -> None:
    """Export trained networks into a cascade folder with FP32 and INT8 files and a card."""
    if kind == "tensorrt":
        _build_engines(out, options)
        return
    for name in REQUIRED:
        if not (out if name == "out" else options[name]):
            raise click.UsageError(f"Missing option '--{name}'.")
    assert out is not None
    _export(given, out, options)


def _build_engines(out: Path | None, options: dict[str, Any]) -> None:
    from forensics.backends.engine_cache import engine_folder
    from forensics.cascade.ahead import build_engines
    from forensics.cascade.definition import load_cascade

    with show_building():
        built = build_engines(
            load_cascade(options["cascade"]),
            out or engine_folder(),
            precision=options["precision"],
            imgsz=options["imgsz"],
            compute=options["compute_capability"],
        )
    for engine in built:
        stdout().print(
            f"{engine.stage} {engine.precision}: {engine.path} ({engine.size_bytes / 1e6:.1f} MB, "
            f"SHA-256 {engine.sha256[:16]}...), {engine.target}",
            markup=False,
        )


def _export(given: GivenTruth, out: Path, options: dict[str, Any]) -> None:
    from forensics.training.cascade_files import read_card_facts
    from forensics.training.export import export_cascade

    card = read_card_facts(options["card_data"], options["figures"], options["failures"])
    truth = given.load() if given.paths else None
    judged = {"unlabelled": given.unlabelled, "class_map": given.class_map}
    plan = _plan(out, options | judged)
    inputs = find_inputs(plan.validation, recursive=True) if plan.gated and plan.validation else ()
    times = 2 * len(plan.gated)
    total = times * sum(file.size_bytes for file in inputs)
    with ScanProgress(total, times * len(inputs)) as progress:
        cascade, parities = export_cascade(plan, truth, card, progress, _say)
    console = stdout()
    console.print(f"cascade {cascade.name} {cascade.version}: {out}", markup=False)
    for stage in (cascade.detector, cascade.classifier):
        for kind, reference in {} if stage is None else stage.files.items():
            size = reference.path.stat().st_size / 1e6
            console.print(f"  {kind}  {reference.path.name}  {size:.1f} MB", markup=False)
    for parity in parities:
        flips, recall = parity.facts["decisions"], parity.facts["recall"]
        console.print(
            f"parity of {parity.precision}: {flips['flipped']} of {flips['near']} decisions near "
            f"the operating point flip; {recall['mean_found']:.1f} of {recall['positives']} "
            f"{recall['level']} found, FP32 {recall['mean_found_reference']:.1f}, mean at "
            f"{recall['budgets'][0]} to {recall['budgets'][1]} false alarms"
        )
    folder = str(out) if os.sep in str(out) else f"./{out}"  # a bare word is a bundled cascade
    console.print(f"next: forensics scan FOOTAGE --cascade {folder} --out RUN", markup=False)


def _say(text: str) -> None:
    stderr().print(text, markup=False)


def _plan(out: Path, options: dict[str, Any]) -> Any:
    from forensics.cascade.definition import bundled_cascades, load_cascade
    from forensics.training.export import ExportPlan
    from forensics.training.parity import Limits

    def network(name: str | None) -> Path | None:
        if name is None:
            return None
        return load_cascade(name).folder if name in bundled_cascades() else Path(name)

    shared = ("base", "name", "version", "licence", "description", "operating_point", "chosen")
    more = ("imgsz", "frames", "int8", "fp16", "backend", "calibration", "validation")
    rules = ("unlabelled", "class_map")
    detector = network(options["detector"])
    assert detector is not None
    return ExportPlan(
        detector=detector,
        classifier=network(options["classifier"]),
        out=out,
        limits=Limits(
            options["max_flips"], options["max_recall_loss"], min_found=options["min_found"]
        ),
        **{name: options[name] for name in (*shared, *more, *rules)},
    )
