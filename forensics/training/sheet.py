"""The contact sheet: clusters of false alarms on one page that opens offline."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from forensics.runlog.writer import write_bytes
from forensics.training.crops import CropSet
from forensics.training.group import Cluster

SHOWN = 24
SIDE_PX, QUALITY = 96, 80


def write_sheet(crops: CropSet, clusters: tuple[Cluster, ...], how: str, path: Path) -> int:
    """Write the page; return its size in bytes."""
    environment = Environment(
        loader=PackageLoader("forensics.training"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("clusters.html.j2").render(
        folder=crops.folder.name,
        how=how,
        total=sum(len(cluster.rows) for cluster in clusters),
        side_px=SIDE_PX,
        clusters=[_values(crops, cluster) for cluster in clusters],
    )
    write_bytes(page.encode("utf-8", "backslashreplace"), path)
    return len(page)


def _values(crops: CropSet, cluster: Cluster) -> dict[str, Any]:
    rows = spread_over(cluster.rows)
    taken = crops.table.select(["source", "frame_index", "detector_score", "split"]).take(rows)
    pictures = crops.pictures(rows)
    return {
        "number": cluster.number,
        "name": cluster.name,
        "count": len(cluster.rows),
        "sources": cluster.sources,
        "range": None
        if cluster.lowest is None
        else f"{cluster.lowest:.3f} to {cluster.highest:.3f}",
        "shots": [
            fact | {"uri": _thumbnail(rgb)}
            for fact, rgb in zip(taken.to_pylist(), pictures, strict=True)
        ],
    }


def spread_over(rows: tuple[int, ...]) -> list[int]:
    """At most 24 rows, evenly over the list: first and last among them."""
    if len(rows) <= SHOWN:
        return list(rows)
    return [rows[place] for place in np.linspace(0, len(rows) - 1, SHOWN).round().astype(int)]


def _thumbnail(rgb: np.ndarray[Any, Any]) -> str:
    small = cv2.resize(rgb, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
