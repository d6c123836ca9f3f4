"""`forensics demo`: the main job on the bundled sample."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import forensics
from forensics.cli.main import exit_with
from forensics.cli.output import counting, stdout
from forensics.cli.report import beside
from forensics.cli.scan import print_summary, run_scan
from forensics.errors import EXIT_INTERRUPTED, FootageError
from forensics.evaluation import evaluate
from forensics.evaluation.text import render
from forensics.footage.find import common_base, find_inputs
from forensics.report.page import read_truth, write_report
from forensics.runlog.reader import open_run
from forensics.scan.settings import default_settings

SAMPLE = Path(forensics.__file__).resolve().parent.parent / "datasets" / "sample"


@click.command(
    "demo",
    epilog="""\b
Examples:
  forensics demo
  forensics demo --out /tmp/demo --sample /checkout/datasets/sample""",
)
@click.option("--out", "folder", type=click.Path(path_type=Path), default=Path("demo-run"))
@click.option("--sample", type=click.Path(path_type=Path), default=SAMPLE, help="Sample folder.")
@click.option("--backend", default="auto", show_default=True)
def demo_command(folder: Path, sample: Path, backend: str) -> None:
    """Scan the bundled sample, evaluate it, write the report.

    The handguns in the sample are planted: rendered and composited into real footage.
    """
    if not (sample / "truth").is_dir():
        raise FootageError(f"no sample in {sample}: it comes with the source; give --sample")
    settings = default_settings(backend=backend)
    inputs = find_inputs([sample], recursive=False)
    base = common_base([sample])  # whole: the run must verify in any folder
    result = run_scan(inputs, base, folder, settings, overwrite=False, argv=sys.argv[1:])
    print_summary(result)
    if result.interrupted:
        exit_with(EXIT_INTERRUPTED)
    run = open_run(folder)
    truth = read_truth([sample / "truth"])
    click.echo(render(evaluate(run, truth.labels).to_json()))
    target = beside(folder)
    with counting("fetching pictures") as progress:
        write_report(run, target, truth, progress=progress)
    console = stdout()
    console.print("The handguns in this sample are planted: the table shows how the tool works,")
    console.print("not how the networks do on real guns.")
    console.print(f"\nreport: {target}")
