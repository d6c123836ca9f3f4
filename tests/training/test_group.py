"""Grouping: clusters that a second method agrees with, names that move pictures, one safe page."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("sklearn", reason="the extra `train` is not installed")

import torch

from forensics.cli.main import run as command
from forensics.errors import TrainingError
from forensics.training.backbone import embed
from forensics.training.classifier_model import (
    FitMeta,
    create_classifier,
    load_fit,
    save_weights,
    write_meta,
)
from forensics.training.cluster import cluster, open_backbone
from forensics.training.crops import open_crops
from forensics.training.group import clusters_of, name_clusters, read_names, set_clusters
from forensics.training.publish import Mined
from tests.support.browser import Browser, fits


@pytest.fixture(scope="module")
def grouped(mined: Mined, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(mined.crops.folder, tmp_path_factory.mktemp("group") / "crops")
    assert command(["group", str(folder), "--clusters", "3"]) == 0
    return folder


@pytest.fixture
def crops(grouped: Path, tmp_path: Path) -> Path:
    return shutil.copytree(grouped, tmp_path / "crops")


def pictures(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))


def test_every_false_alarm_is_in_a_cluster_and_nothing_else_is(grouped: Path) -> None:
    table = open_crops(grouped).frame()
    assert table["cluster"].notna().equals(table["kind"] == "false_alarm")
    assert set(table["cluster"].dropna()) == {0, 1, 2}
    sizes = [len(found.rows) for found in clusters_of(open_crops(grouped))]
    assert sizes == sorted(sizes, reverse=True)


def test_clusters_are_repeatable(grouped: Path, mined: Mined, tmp_path: Path) -> None:
    again = shutil.copytree(mined.crops.folder, tmp_path / "again" / "crops")
    assert command(["group", str(again), "--clusters", "3"]) == 0
    for name in ("crops.parquet", "crops.json", "clusters.html", "clusters.csv"):
        assert (again / name).read_bytes() == (grouped / name).read_bytes()


@pytest.mark.parametrize("clusters", [None, 3])
def test_clear_clusters_are_found_and_numbered_by_size(clusters: int | None) -> None:
    random = np.random.default_rng(0)
    wanted = np.repeat([2, 0, 1], [10, 40, 20])
    centres = np.eye(3, 64) * 10
    features = centres[wanted] + random.normal(0, 0.05, (70, 64))
    found = cluster(features.astype(np.float32), clusters=clusters, least=5, seed=0)
    sure = found >= 0
    assert sure.mean() > 0.9 and np.array_equal(found[sure], wanted[sure])


def small_fit(folder: Path, colour: str) -> Path:
    """An untrained network in a FIT folder."""
    torch.manual_seed(0)
    model = create_classifier("test_efficientnet", 2)
    save_weights(folder, model.state_dict())
    half = (0.5, 0.5, 0.5)
    classes = ("gun", "other")
    meta = FitMeta("test_efficientnet", classes, classes[:1], 64, 1.4, 24, colour, half, half)
    write_meta(folder, meta)
    return folder


def test_a_fitted_classifier_sees_for_the_clusters(mined: Mined, tmp_path: Path) -> None:
    """Its features are those of its backbone on pictures made as it was trained."""
    fits = {colour: small_fit(tmp_path / colour, colour) for colour in ("rgb", "grey")}
    pictures = mined.crops.pictures([0, 1, 2])
    as_grey = (pictures @ np.array([0.299, 0.587, 0.114])).round()
    shown = {"rgb": pictures, "grey": np.repeat(as_grey[..., None], 3, axis=3)}
    model, _ = load_fit(fits["rgb"])
    for colour, fit in fits.items():
        backbone = open_backbone(fit)
        assert backbone.name == f"test_efficientnet ({colour})"
        expected = embed(model, shown[colour].astype(np.uint8), mean=(0.5,) * 3, std=(0.5,) * 3)
        expected = expected / np.linalg.norm(expected, axis=1)[:, None]
        found = backbone.features(mined.crops, [0, 1, 2], None)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(TrainingError, match="classifier.json"):
        open_backbone(tmp_path)
    (fits["rgb"] / "classifier.safetensors").write_bytes(b"broken")
    with pytest.raises(TrainingError, match="not a sound safetensors file"):
        open_backbone(fits["rgb"])


def test_naming_moves_pictures_and_only_those(crops: Path) -> None:
    before = open_crops(crops).frame()
    assert command(["group", str(crops), "--name", "1=cell_phone", "--name", "2=-"]) == 0
    after = open_crops(crops)
    table = after.frame()
    assert not after.problems and pictures(crops) == sorted(table["file"])
    expected = before["label"].mask(before["cluster"] == 1, "cell_phone")
    assert table["label"].equals(expected.mask(before["cluster"] == 2, ""))
    named = table[table["cluster"] == 1]
    assert all("/cell_phone/" in file for file in named["file"])
    assert after.counts()["train"]["cell_phone"] >= (named["split"] == "train").sum()
    assert command(["group", str(crops), "--name", "1=other", "--name", "2=other"]) == 0
    assert open_crops(crops).frame().equals(before)


def test_names_from_a_filled_in_list(crops: Path) -> None:
    path = crops / "clusters.csv"
    lines = path.read_text().splitlines()
    assert lines[0] == "cluster,count,name" and lines[1].startswith("0,")
    path.write_text("\n".join([lines[0], lines[1] + "bag", *lines[2:]]) + "\n")
    assert command(["group", str(crops), "--names", str(path)]) == 0
    table = open_crops(crops).frame()
    assert set(table[table["cluster"] == 0]["label"]) == {"bag"}
    assert set(table[table["cluster"] == 1]["label"]) == {"other"}


def test_names_that_cannot_be(crops: Path, mined: Mined, tmp_path: Path) -> None:
    found = open_crops(crops)
    with pytest.raises(TrainingError, match="truth box"):
        name_clusters(found, {0: "gun"})
    with pytest.raises(TrainingError, match="no cluster 9"):
        name_clusters(found, {9: "bag"})
    with pytest.raises(TrainingError, match="cannot name a folder"):
        name_clusters(found, {0: "../bag"})
    with pytest.raises(TrainingError, match="not grouped yet"):
        name_clusters(mined.crops, {0: "bag"})
    path = tmp_path / "names.csv"
    path.write_text("cluster,count,name\n0,3,bag\nx,3,bag\n")
    with pytest.raises(TrainingError, match="names.csv:3"):
        read_names(path)


def test_a_kill_while_naming_leaves_a_data_set_that_opens(
    crops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import forensics.training.crops as module

    before = pictures(crops)

    def stop_at_table(data: bytes, path: Path) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_bytes", stop_at_table)
    with pytest.raises(KeyboardInterrupt):
        name_clusters(open_crops(crops), {0: "bag"})
    monkeypatch.undo()
    assert not open_crops(crops).problems and set(before) <= set(pictures(crops))
    name_clusters(open_crops(crops), {0: "bag"})
    assert pictures(crops) == sorted(open_crops(crops).frame()["file"])


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))


def test_the_page_is_whole_in_itself(grouped: Path) -> None:
    page = Links()
    text = (grouped / "clusters.html").read_text()
    page.feed(text)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "default-src 'none'" in text
    shown = sum(min(24, len(found.rows)) for found in clusters_of(open_crops(grouped)))
    assert len(page.images) == shown
    assert all(image["alt"] and image["src"].startswith("data:image/") for image in page.images)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_shows_every_crop(grouped: Path, width: int, browser: Browser) -> None:
    with browser.open(grouped / "clusters.html", width=width) as page:
        assert fits(page)
        drawn = page.evaluate("[...document.images].map((i) => i.complete && i.naturalWidth)")
        assert drawn and all(drawn)


def test_names_of_files_are_escaped(grouped: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    from forensics.training.crops import SCHEMA, write_crops

    folder = shutil.copytree(grouped, tmp_path / "crops")
    found = open_crops(folder)
    rows = [row | {"source": "<script>alert(1)</script>"} for row in found.table.to_pylist()]
    write_crops(folder, found.manifest, pa.Table.from_pylist(rows, schema=SCHEMA))
    assert command(["group", str(folder), "--name", "0=other"]) == 0
    assert "<script" not in (folder / "clusters.html").read_text()


def test_nothing_to_group(mined: Mined, tmp_path: Path) -> None:
    import pyarrow as pa

    from forensics.training.crops import write_crops
    from forensics.training.group import false_alarms

    folder = shutil.copytree(mined.crops.folder, tmp_path / "crops")
    kept = [n for n, kind in enumerate(mined.crops.table["kind"].to_pylist()) if kind == "target"]
    write_crops(folder, mined.crops.manifest, mined.crops.table.take(pa.array(kept)))
    with pytest.raises(TrainingError, match="nothing to group"):
        false_alarms(open_crops(folder))
    set_clusters(open_crops(folder), [], np.zeros(0, np.int32), "nothing")
    assert command(["group", str(folder)]) == 1
