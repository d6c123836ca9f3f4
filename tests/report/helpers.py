"""A small world: clips on disk, the run over them, and pages that are parsed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from forensics.report.page import TruthInput, build_report
from forensics.runlog.reader import RunTables
from forensics.truth.base import Truth, combine
from tests.evaluation.helpers import Clip, boxes_truth, make_run
from tests.support.clips import write_clip

HIT = (20.0, 40.0, 30.0, 30.0)
AWAY = (100.0, 60.0, 20.0, 24.0)
SIZE = (160, 120)
VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "source"})


def world(folder: Path, *names: str, n_frames: int = 20) -> RunTables:
    """Clips of numbered frames, each with two hits and two false alarms; one of each is removed.

    Frames 4 (kept) and 5 (removed) hit; 12 (kept) and 13 (removed) are false.
    """
    found = {
        4: [(HIT, 0.9, 0.8)],
        5: [(HIT, 0.7, 0.2)],
        12: [(AWAY, 0.8, 0.6)],
        13: [(AWAY, 0.6, 0.1)],
    }
    footage = folder / "footage"
    footage.mkdir(parents=True)
    clips = []
    for number, name in enumerate(names):
        path = write_clip(footage / name, frames=n_frames + number, size=SIZE, rate=10)
        media_id = hashlib.sha256(path.read_bytes()).hexdigest()
        clips.append(Clip(name, n_frames, detections=found, media_id=media_id, size=SIZE))
    return on_disk(make_run(*clips, coverage=coverage_of(clips)), folder)


def coverage_of(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    return [
        {
            "media_id": clip.identity, "path": clip.path, "segment": 0, "state": "scanned",
            "start_frame": 0, "stop_frame": clip.n_frames, "start_time_s": 0.0,
            "stop_time_s": (clip.n_frames - 1) / clip.fps, "n_frames": clip.n_frames, "reason": "",
        }
        for clip in clips
    ]  # fmt: skip


def on_disk(run: RunTables, folder: Path, **changes: Any) -> RunTables:
    """The run as if it lay in `folder`/run, its footage in `folder`/footage."""
    (folder / "run").mkdir(exist_ok=True)
    manifest = {
        **run.manifest, "id": "0123456789abcdef", "product": "forensics 9.9", "status": "complete",
        "argv": ["scan", "footage"], "base": str(folder / "footage"),
        "started_utc": "2026-01-01T00:00:00Z", "ended_utc": "2026-01-01T01:00:00Z",
        "models": [{"stage": "detector", "path": "/x/d.onnx", "sha256": "ab" * 32}],
        "sampling": {"frame_step": 1, "time_step_s": None}, **changes,
    }  # fmt: skip
    (folder / "run" / "run.json").write_text(json.dumps(manifest))
    return replace(run, folder=folder / "run", manifest=manifest)


def truth_of(*names: str, planted: bool = False) -> Truth:
    """Frames 4 and 5 hold a target, every other frame none."""
    frames: dict[int, Any] = {index: [] for index in range(20)}
    frames |= {4: [HIT], 5: [HIT]}
    return combine([looked_at(name, frames, planted) for name in names])


def looked_at(name: str, frames: Mapping[int, Any], planted: bool) -> Truth:
    truth = boxes_truth(name, frames, planted=planted)
    (media,) = truth.media
    every = np.arange(20, dtype=np.int64)
    media = replace(media, frames=every, ignored=np.zeros(20, np.bool_))
    return replace(truth, media=(media,))


def page_of(run: RunTables, truth: Truth | None = None, **options: Any) -> str:
    return build_report(run, None if truth is None else TruthInput(truth), **options)


def embedded_json(page: str) -> Any:
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def decode(uri: str) -> Any:
    """The picture of a data URI: uint8 RGB."""
    assert uri.startswith("data:image/jpeg;base64,")
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


class Page(HTMLParser):
    """A page's elements: attributes by tag, text by section id, and whether tags are balanced."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.faults: list[str] = []
        self.open: list[tuple[str, str]] = []
        self.text: dict[str, str] = {}
        self.feed(page)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag, _ in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if tag not in VOID and not (tag == "rect" and self.get_starttag_text()[-2:] == "/>"):
            self.open.append((tag, found.get("id", "")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1][0] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1:]}")
            return
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] in {"style", "script"}:
            return
        for _, name in self.open:
            if name:
                self._add(name, data)
        self._add("", data)

    def _add(self, name: str, data: str) -> None:
        """Text of one section, white space made single, non-breaking or not."""
        words = " ".join(data.split())
        if words:
            self.text[name] = f"{self.text.get(name, '')} {words}".strip()
