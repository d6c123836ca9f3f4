"""`forensics calibrate`: fit the temperature of a trained classifier again, on other crops."""

from __future__ import annotations

from pathlib import Path

import click

from forensics.cli.output import stderr, stdout
from forensics.cli.training import crop_class_map, show_calibration, threads_option

EXAMPLES = """
\b
Examples:
  forensics calibrate FIT CROPS
  forensics calibrate FIT MY-CAMERAS --class-map cup=other

Uses the validation crops of CROPS: take footage that the classifier was not trained on.
"""


@click.command("calibrate", epilog=EXAMPLES)
@click.argument("fit", type=click.Path(path_type=Path, file_okay=False))
@click.argument("crops", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@crop_class_map("Take crops labelled OLD as NEW; nothing after = leaves them out.")
@threads_option
def calibrate_command(
    fit: Path, crops: tuple[Path, ...], mapped: dict[str, str], threads: int
) -> None:
    """Fit the temperature of FIT on the validation crops of CROPS, and keep it in FIT."""
    from forensics.training.calibrate import calibrate_fit
    from forensics.training.classifier_model import read_meta
    from forensics.training.examples import gather

    meta = read_meta(fit)
    examples = gather(crops, meta.targets, mapped, classes=meta.classes, min_per_class=0)
    for problem in examples.problems:
        stderr().print(f"{problem.where}: {problem.what}", markup=False)
    show_calibration(calibrate_fit(fit, examples, threads))
    stdout().print(f"wrote {fit / 'classifier.json'} and reliability.png; export the cascade again")
