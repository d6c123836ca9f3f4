"""`forensics train`: the two networks of a cascade, each with its own command."""

from __future__ import annotations

import click

from forensics.cli.groups import LazyGroup

COMMANDS = {
    "detector": "forensics.cli.train_detector:detector_command",
    "average": "forensics.cli.train_average:average_command",
    "classifier": "forensics.cli.train_classifier:classifier_command",
}
EXAMPLES = """
\b
Examples:
  forensics train detector DATA.toml --weights yolo11n.pt --out FIT1
  forensics train average FIT1/weights/best.pt FIT1/weights/last.pt --out averaged.pt
  forensics train classifier CROPS --out FIT2

A kill does no harm: the same command again goes on from the last epoch.
"""


@click.group("train", cls=LazyGroup, table=COMMANDS, epilog=EXAMPLES)
def train_group() -> None:
    """Train one of the two networks of a cascade."""
