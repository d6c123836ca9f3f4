"""A small run of the bundled sample, mined for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forensics.runlog.reader import RunTables, open_run
from forensics.training.candidates import Classes
from forensics.training.mine import mine_run
from forensics.training.publish import Mined, MineSettings
from forensics.truth.load import load_truth
from tests.support.data import ROOT
from tests.support.scans import run_small_scan

SAMPLE = ROOT / "datasets" / "sample"


def sample_run(folder: Path) -> RunTables:
    """Six clips at 320 pixels, every 25th frame, detector alone."""
    from forensics.footage.protocol import Sampling

    clips = ("gate-pistol", "gate-phone", "gate-plain", "table-pistol", "road-pistol", "wall-cup")
    run_small_scan(
        [SAMPLE / f"{name}.mp4" for name in clips],
        folder,
        imgsz=320,
        floor=0.01,
        gate=0.01,
        max_detections=8,
        detector_only=True,
        sampling=Sampling(25),
    )
    return open_run(folder)


def mine_sample(run: RunTables, out: Path, *, overwrite: bool = False, **changes: Any) -> Mined:
    classes = Classes({"umbrella": ""}, ("cell_phone",))
    settings = MineSettings(classes=classes, **{"truth_boxes": True, **changes})
    return mine_run(run, load_truth([SAMPLE / "truth"]), out, settings, overwrite=overwrite)
