"""Pictures of detections or missed objects on one sheet, each with its box and what was said."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from forensics.report.cards import wants_of
from forensics.report.choose import choose, rule
from forensics.report.evidence import Album
from forensics.report.figures import LIGHT
from forensics.report.model import DEFAULT_SEED, Shot
from forensics.runlog.reader import RunTables
from forensics.types import ImageArray

TILE_IN, CAPTION = 1.35, 0.3  # a picture's side in inches; a caption's height, of a picture's side
DPI, QUALITY = 80, 70


@dataclass(frozen=True, eq=False, repr=False)
class Gallery:
    """Chosen rows and their pictures; a notebook shows it as one JPEG.

    `rule` says how the rows were chosen; pictures that cannot be had say why in their place.
    """

    rows: pd.DataFrame
    shots: tuple[Shot, ...]
    captions: tuple[str, ...]
    rule: str
    title: str
    columns: int

    def plot(self, ax: Any = None) -> Any:
        """Draw the sheet on axes, those of a new figure by default, and return them."""
        ax = self._figure().add_subplot() if ax is None else ax
        side, step = 1.0, 1.06
        for place, (shot, caption) in enumerate(zip(self.shots, self.captions, strict=True)):
            down, across = divmod(place, self.columns)
            left, top = across * step, down * (step + CAPTION)
            _tile(ax, shot, left, top, side)
            ax.text(left, top + side + 0.03, caption, fontsize=6.5, va="top", linespacing=1.15)
        lines = -(-len(self.shots) // self.columns)
        ax.set_xlim(0, self.columns * step)
        ax.set_ylim(max(lines, 1) * (step + CAPTION), -0.02)
        ax.set_aspect("equal")
        ax.set_axis_off()
        ax.set_title(f"{self.title}\n{self.rule}".strip(), fontsize=8, loc="left")
        return ax

    def _figure(self) -> Figure:
        lines = max(1, -(-len(self.shots) // self.columns))
        size = (TILE_IN * self.columns, TILE_IN * (1 + CAPTION) * lines + 0.45)
        figure = Figure(figsize=size, layout="constrained", dpi=DPI)
        FigureCanvasAgg(figure)
        return figure

    def __repr__(self) -> str:
        return f"Gallery of {len(self.shots):,} pictures. {self.title}: {self.rule}"

    def _repr_jpeg_(self) -> bytes:
        buffer = io.BytesIO()
        figure = self.plot().figure
        figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": QUALITY})
        return buffer.getvalue()


def gallery(
    run: RunTables,
    rows: pd.DataFrame,
    *,
    by: Sequence[str] = ("path",),
    limit: int = 12,
    columns: int = 6,
    title: str = "",
    seed: int = DEFAULT_SEED,
) -> Gallery:
    """Choose rows fairly between groups of `by`, and fetch their pictures (see `report`).

    Rows need `media_id`, `frame_index`, the box and `detector_score`, as decisions and failures
    have them. Fetched pictures are kept in the run's evidence folder.
    """
    scored = rows.reset_index(drop=True)
    shown = choose(
        scored.assign(_score=scored["detector_score"].fillna(-1.0)),
        score="_score", groups=tuple(by), limit=limit, seed=seed,
    ).drop(columns="_score")  # fmt: skip
    groups = " and ".join("file" if name == "path" else name for name in by)
    said = rule(len(scored), limit, seed, score="detector score", groups=f"every {groups}")
    wants = wants_of(shown)
    shots = Album(run).shots(wants)
    captions = tuple(_caption(row) for row in shown.to_dict("records"))
    return Gallery(shown, tuple(shots[want] for want in wants), captions, said, title, columns)


def _caption(row: Mapping[Any, Any]) -> str:
    """File and time; what the networks said; what truth says."""
    clock = f"frame {row['frame_index']}" if pd.isna(row["time_s"]) else f"{row['time_s']:.2f} s"
    scores = [
        f"{name} {row[column]:.2f}"
        for name, column in (("det", "detector_score"), ("cls", "target_score"))
        if not pd.isna(row.get(column))
    ]
    said = (row.get("cause"), row.get("outcome_cascade"), row.get("outcome_detector"))
    truth = next((word.replace("_", " ") for word in said if isinstance(word, str)), "")
    if truth == "decoy" or row.get("on_decoy") is True:
        truth += f": {row['truth_class']}"
    truth += " (planted)" if truth and row.get("planted") else ""
    lines = (f"{PurePosixPath(row['path']).stem} {clock}", ", ".join(scores) or "no box logged",
             truth)  # fmt: skip
    return "\n".join(line for line in lines if line)


def _tile(ax: Any, shot: Shot, left: float, top: float, side: float) -> None:
    if shot.crop is None:
        ax.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=LIGHT["grid"]))
        ax.text(left + side / 2, top + side / 2, shot.problem, fontsize=6, ha="center",
                va="center", wrap=True)  # fmt: skip
        return
    picture = _decode(shot.crop.uri)
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    x0, y0 = left + (side - width * scale) / 2, top + (side - height * scale) / 2
    ax.imshow(picture, extent=(x0, x0 + width * scale, y0 + height * scale, y0), aspect="auto")
    x, y, across, down = (value * scale for value in shot.crop_box)
    ax.add_patch(Rectangle((x0 + x, y0 + y), across, down, fill=False, edgecolor="#f0e442",
                           linewidth=1.1))  # fmt: skip


def _decode(uri: str) -> ImageArray:
    """The RGB picture, uint8 (height, width, 3), of a JPEG data URI."""
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    bgr = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
