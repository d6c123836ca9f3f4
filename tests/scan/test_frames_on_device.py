"""Whole scans whose frames stay on a device, here as tensors of the CPU, against other scans."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from forensics.backends import Engine
from forensics.cascade.lanes import TENSORS
from forensics.cascade.place import Place
from forensics.errors import RunLogError
from forensics.runlog.reader import open_run
from forensics.runlog.verify import verify_run
from forensics.scan import settings as scan_settings
from forensics.scan.gpu_paths import compare_ways
from forensics.scan.settings import default_settings
from forensics.tiling import Tiling
from tests.scan.test_resume import Interrupting
from tests.support.clips import write_clip
from tests.support.data import FOOTAGE, needs_footage
from tests.support.scans import ROOT, fingerprint, run_small_scan, small_settings

SAMPLE = ROOT / "datasets" / "sample"
THERE = Place(TENSORS, "test")
# What differs between the two ways is the rounding of scaled pixels, and crops by 2 of 255 levels.
# FP32 networks, boxes that score at least 0.25; what is further away is a tie in NMS.
SHARE_WITHIN_HALF_A_PX = 0.8
SCORE, TARGET_SCORE = 0.015, 0.04


@pytest.fixture(scope="module")
def device_run(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted scan of `archive` with frames on a device."""
    folder = tmp_path_factory.mktemp("device") / "run"
    run_small_scan(archive, folder, place=THERE)
    return folder


def test_all_but_the_boxes_is_as_in_the_other_log(device_run: Path, reference_run: Path) -> None:
    """Videos of several sizes, a copy, and JPEG stills."""
    there, here = open_run(device_run), open_run(reference_run)
    for name in ("media", "coverage"):
        assert getattr(there, name).equals(getattr(here, name)), name
    counts = ["n_detections", "n_classified"]
    assert there.frames.drop_columns(counts).equals(here.frames.drop_columns(counts))
    assert there.frames.num_rows > 100
    assert there.detections.schema.equals(here.detections.schema)
    assert there.detections.num_rows > 100
    assert not [found for found in verify_run(device_run) if found.problem]


def test_the_run_says_where_its_frames_were(device_run: Path, reference_run: Path) -> None:
    runs = (device_run, reference_run)
    there, here = (json.loads((run / "run.json").read_text()) for run in runs)
    assert there["frames_on"] == "cpu tensors, test"
    assert here["frames_on"] == "cpu, because the networks run there"
    assert there["config_hash"] != here["config_hash"]
    assert there["backend"] == here["backend"]


@pytest.mark.parametrize("batch", [1, 7])
def test_the_log_does_not_depend_on_the_batch(
    archive: Path, tmp_path: Path, device_run: Path, batch: int
) -> None:
    run_small_scan(archive, tmp_path / "run", place=THERE, batch=batch)
    assert fingerprint(tmp_path / "run") == fingerprint(device_run)


@pytest.mark.parametrize(("at", "n"), [("frames", 3), ("segment", 2), ("file", 2)])
def test_stopped_and_gone_on(
    archive: Path, tmp_path: Path, device_run: Path, at: str, n: int
) -> None:
    run = tmp_path / "run"
    assert run_small_scan(archive, run, place=THERE, progress=Interrupting(at, n)).interrupted
    with pytest.raises(RunLogError):  # not with other pixels
        run_small_scan(archive, run)
    assert not run_small_scan(archive, run, place=THERE).interrupted
    assert fingerprint(run) == fingerprint(device_run)


def test_tiles_take_the_other_way(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", frames=4)
    tiled: dict[str, Any] = {"tiling": Tiling(2, 1, 0.2), "detector_only": True}
    run_small_scan(tmp_path / "c.mp4", tmp_path / "run", place=THERE, **tiled)
    run_small_scan(tmp_path / "c.mp4", tmp_path / "plain", **tiled)
    assert fingerprint(tmp_path / "run") == fingerprint(tmp_path / "plain")
    said = json.loads((tmp_path / "run" / "run.json").read_text())
    assert said["frames_on"] == "cpu, because tiles are made by the decoding child"


def test_the_settings_of_old_runs_keep_their_hash() -> None:
    assert small_settings().views and not small_settings(place=THERE).views
    assert small_settings().config_hash() == small_settings(place=Place(why="x")).config_hash()


class OneShape:
    """An engine as TensorRT's is: it takes its whole input only, and gives all boxes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.provenance = engine.provenance

    def infer(self, images: Any) -> Any:
        return self._engine.infer(images)


@pytest.fixture
def one_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    real = scan_settings.open_engine
    monkeypatch.setattr(
        scan_settings, "open_engine", lambda *given, **named: OneShape(real(*given, **named))
    )


def near(clip: Path, score: float, target_score: float, frames: int = 10) -> dict[str, Any]:
    settings = replace(default_settings("handgun", "onnxruntime", precision="fp32"), place=THERE)
    found = compare_ways([clip], settings, 1, frames=frames)
    assert found["frames"] == frames
    assert found["unmatched"] == 0
    assert found["share_near"] >= SHARE_WITHIN_HALF_A_PX
    assert found["greatest_score"] <= score
    assert found["greatest_target_score"] <= target_score
    assert found["frames_that_alarm_in_one_only"] <= 1
    assert set(found["frames_per_s"]) == {str(Place()), str(THERE)}
    assert min(found["frames_per_s"].values()) > 0
    return found


@pytest.mark.parametrize("name", ["gate-pistol.mp4", "table-pistol.mp4"])
def test_decisions_on_the_sample(name: str, one_shape: None) -> None:
    found = near(SAMPLE / name, SCORE, TARGET_SCORE)
    assert found["compared"] > 5 and found["alarm_frames"] > 2


@needs_footage
@pytest.mark.parametrize("name", ["gun/nofi011.mp4", "ordinary/cup.mp4"])
def test_decisions_on_real_footage(name: str, one_shape: None) -> None:
    """A box that lies a fraction of a pixel elsewhere may move its crop by one: of a small thing
    that is much."""
    found = near(FOOTAGE / name, 0.025, 0.1)
    assert found["compared"] > 0


def test_a_scan_without_a_device_never_loads_pytorch(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.mp4", frames=4)
    code = (
        "import sys; from pathlib import Path\n"
        "from forensics.scan.settings import default_settings\n"
        "from tests.support.scans import run_small_scan\n"
        "assert not default_settings('handgun', 'onnxruntime').frames_on.on_device\n"
        f"run_small_scan(Path({str(tmp_path / 'c.mp4')!r}), Path({str(tmp_path / 'run')!r}))\n"
        "assert 'torch' not in sys.modules and 'torchvision' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    assert open_run(tmp_path / "run").frames.num_rows == 4
