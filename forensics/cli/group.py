"""`forensics group`: look at what the detector confuses with the target, and name it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from forensics.cli.output import counting, stdout

if TYPE_CHECKING:
    from forensics.training.crops import CropSet

EXAMPLES = """
\b
Examples:
  forensics group crops
  forensics group crops --clusters 12
  forensics group crops --name 3=cell_phone --name 5=umbrella --name 7=-
  forensics group crops --names crops/clusters.csv

Look at crops/clusters.html, then name clusters. Next: forensics train classifier CROPS.
"""


def _pairs(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[int, str]:
    pairs = [text.partition("=") for text in given]
    if any(not number.strip().lstrip("-").isdigit() or not equals for number, equals, _n in pairs):
        raise click.BadParameter("write NUMBER=CLASS, as in 3=cell_phone")
    return {int(number): name.strip() for number, _equals, name in pairs}


@click.command("group", epilog=EXAMPLES)
@click.argument("folder", metavar="CROPS", type=click.Path(path_type=Path))
@click.option("--clusters", type=click.IntRange(2), help="k-means with so many; else HDBSCAN.")
@click.option("--min-size", default=8, show_default=True, type=click.IntRange(2),
              help="Fewest crops of a cluster (HDBSCAN).")  # fmt: skip
@click.option("--classifier", "fit", type=click.Path(path_type=Path),
              help="A fitted classifier's folder. Default: ImageNet weights.")  # fmt: skip
@click.option("--name", "given", multiple=True, callback=_pairs, metavar="NUMBER=CLASS",
              help="Name of a cluster; - takes it out of training. Repeatable.")  # fmt: skip
@click.option("--names", "names_file", type=click.Path(path_type=Path, dir_okay=False),
              help="A filled-in clusters.csv.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def group_command(  # noqa: PLR0913, PLR0917 - one per option
    folder: Path,
    clusters: int | None,
    min_size: int,
    fit: Path | None,
    given: dict[int, str],
    names_file: Path | None,
    seed: int,
) -> None:
    """Cluster the false alarms of CROPS and write a contact sheet; or name its clusters.

    With --name or --names the clusters stay as they are on the sheet. Without, they are made
    anew; names given before stay with their crops.
    """
    from forensics.training.crops import open_crops
    from forensics.training.group import name_clusters, read_names

    crops = open_crops(folder)
    for problem in crops.problems:
        stdout().print(f"  {problem.where}: {problem.what}", markup=False)
    names = (read_names(names_file) if names_file else {}) | given
    if names:
        _finish(name_clusters(crops, names))
        return
    _finish(_grouped(crops, fit, clusters, min_size, seed))


def _grouped(
    crops: CropSet, fit: Path | None, clusters: int | None, least: int, seed: int
) -> CropSet:
    from forensics.training.cluster import cluster, open_backbone
    from forensics.training.group import false_alarms, set_clusters

    rows = false_alarms(crops)
    backbone = open_backbone(fit)
    with counting("embedding") as progress:
        features = backbone.features(crops, rows, progress)
    numbers = cluster(features, clusters=clusters, least=least, seed=seed)
    way = f"k-means, {clusters} clusters" if clusters else f"HDBSCAN, at least {least} a cluster"
    return set_clusters(crops, rows, numbers, f"Features of {backbone.name}; {way}; seed {seed}")


def _finish(crops: CropSet) -> None:
    """Write page and list; say what each cluster holds."""
    from forensics.training.group import CLUSTERS, PAGE, clusters_of, write_names
    from forensics.training.sheet import write_sheet

    found = clusters_of(crops)
    console = stdout()
    for one in found:
        called = f"cluster {one.number}" if one.number >= 0 else "in no cluster"
        span = "" if one.lowest is None else f", score {one.lowest:.3f} to {one.highest:.3f}"
        console.print(
            f"{called}: {len(one.rows)} crops from {one.sources} files{span}: {one.name}",
            markup=False,
        )
    write_names(found, crops.folder / CLUSTERS)
    how = str(crops.manifest.get("grouped", ""))
    n_bytes = write_sheet(crops, found, how, crops.folder / PAGE)
    console.print(
        f"wrote {crops.folder / PAGE} ({n_bytes / 1e6:.1f} MB) and {crops.folder / CLUSTERS}; "
        f"next: name clusters with --name, or forensics train classifier {crops.folder}",
        markup=False,
    )
