"""`forensics backends` and `forensics models`."""

from __future__ import annotations

from collections.abc import Collection

import click

from forensics.backends import available_backends
from forensics.cascade.definition import CascadeDefinition, bundled_cascades, load_cascade


@click.command("backends", epilog="\b\nExamples:\n  forensics backends")
def backends_command() -> None:
    """List the inference engines and whether they work here."""
    for name, version in available_backends().items():
        click.echo(f"{name:12} {version}")


def _second(cascade: CascadeDefinition) -> Collection[str]:
    """Precisions of the second network; those of the first where there is none."""
    return (cascade.classifier or cascade.detector).files


@click.command("models", epilog="\b\nExamples:\n  forensics models")
def models_command() -> None:
    """List the bundled cascades with their classes and thresholds."""
    for name in bundled_cascades():
        cascade = load_cascade(name)
        point = cascade.operating_point
        has = [n for n in cascade.detector.files if n in _second(cascade)]
        checked = ", ".join(cascade.precisions)
        click.echo(f"{name} {cascade.version} ({cascade.licence}): {cascade.description}")
        names = ", ".join(cascade.detector.classes)
        click.echo(f"  detector    {names}; floor {cascade.detector.floor}")
        if cascade.classifier is not None:
            click.echo(f"  classifier  {', '.join(cascade.classifier.classes)}")
        click.echo(f"  precisions  {', '.join(has)} (checked: {checked})")
        click.echo(
            f"  operating point: detector {point.detector}, classifier {point.classifier} "
            f"({cascade.chosen_how})"
        )
