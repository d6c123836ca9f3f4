"""The slower modes of a scan: tiles, and a larger input size."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.boxes import iou_matrix
from forensics.errors import CascadeError
from forensics.footage.find import common_base, find_inputs
from forensics.footage.protocol import Sampling
from forensics.runlog.reader import RunTables, open_run
from forensics.scan.local import scan
from forensics.scan.settings import ScanSettings, default_settings
from forensics.tiling import WHOLE, Tiling
from tests.support.clips import write_clip, write_still
from tests.support.scans import (
    ROOT,
    Silent,
    fingerprint,
    run_command,
    run_small_scan,
    scan_arguments,
    small_settings,
    start_command,
)

TILING = Tiling(2, 2, 0.2)
SAMPLE = ROOT / "datasets" / "sample" / "gate-pistol.mp4"
TILED = ["--tiles", "2x2", "--tile-overlap", "0.2"]


def scanned(clip: Path, out: Path, **changes: Any) -> RunTables:
    """Scan with the bundled cascade as shipped, but for `changes`."""
    settings: ScanSettings = replace(default_settings(), detector_only=True, **changes)
    inputs = find_inputs([clip], recursive=False)
    scan(inputs, common_base([clip]), out, settings, progress=Silent())
    return open_run(out)


def boxes_by_frame(run: RunTables) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in run.detections.to_pylist():
        found.setdefault(row["frame_index"], []).append(row)
    return found


def corners(rows: list[dict[str, Any]]) -> Any:
    names = ("x_min", "y_min", "x_max", "y_max")
    return np.array([[row[name] for name in names] for row in rows], float).reshape(-1, 4)


def test_tiles_find_what_the_plain_scan_finds(tmp_path: Path) -> None:
    sampling = Sampling(frame_step=10)
    plain = boxes_by_frame(scanned(SAMPLE, tmp_path / "plain", sampling=sampling))
    run = scanned(SAMPLE, tmp_path / "tiled", sampling=sampling, tiling=TILING)
    tiled = boxes_by_frame(run)
    strong = 0
    for index, rows in plain.items():
        for row in rows:
            if row["detector_score"] < 0.25:
                continue
            strong += 1
            better = [r for r in tiled[index] if r["detector_score"] >= row["detector_score"]]
            overlap = iou_matrix(corners([row]), corners(better))[0]
            assert overlap.max() > 0.5, (index, row)
    assert strong >= 3
    assert run.manifest["tiling"] == {"columns": 2, "rows": 2, "overlap": 0.2}
    for rows in tiled.values():
        scores = [row["detector_score"] for row in rows]
        assert scores == sorted(scores, reverse=True)


def test_the_bundled_cascade_runs_at_1280(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", frames=2, size=(1280, 720))
    for backend in ("onnxruntime", "openvino"):
        run = scanned(clip, tmp_path / backend, imgsz=1280, backend=backend, floor=0.001, gate=0.25)
        assert run.manifest["imgsz"] == 1280
        assert run.manifest["status"] == "complete"
        assert run.frames.num_rows == 2
        for rows in boxes_by_frame(run).values():
            found = corners(rows)
            assert (found >= 0).all()
            assert (found <= [1280, 720, 1280, 720]).all()


@pytest.mark.parametrize("imgsz", [100, 639, 1290])
def test_sizes_that_the_network_cannot_take_are_refused(imgsz: int) -> None:
    with pytest.raises(CascadeError, match=f"{imgsz} is not a multiple of 32; give --imgsz"):
        small_settings(imgsz=imgsz)


def test_more_views_than_memory_should_hold_are_refused() -> None:
    with pytest.raises(CascadeError, match="MiB a frame.*fewer --tiles"):
        small_settings(imgsz=1280, tiling=Tiling(8, 8, 0.2))
    small_settings(imgsz=640, tiling=Tiling(8, 8, 0.2))


def test_tiles_are_part_of_what_makes_a_run() -> None:
    hashes = {
        small_settings(tiling=tiling).config_hash()
        for tiling in (WHOLE, TILING, Tiling(2, 2, 0.3), Tiling(2, 1, 0.2))
    }
    assert len(hashes) == 4


@pytest.mark.parametrize("changes", [{"batch": 1}, {"batch": 7}, {"threads": 2}])
def test_batch_and_threads_do_not_change_a_tiled_log(
    tmp_path: Path, changes: dict[str, int]
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    write_clip(folder / "a.mp4", frames=20)
    write_still(folder / "b.png", 3)
    run_small_scan(folder, tmp_path / "plain", tiling=TILING, max_detections=9)
    run_small_scan(folder, tmp_path / "other", tiling=TILING, max_detections=9, **changes)
    assert fingerprint(tmp_path / "other") == fingerprint(tmp_path / "plain")


def test_a_tiled_scan_that_is_killed_goes_on_to_the_same_log(archive: Path, tmp_path: Path) -> None:
    quiet, run = tmp_path / "quiet", tmp_path / "run"
    code, _, errors = run_command([*scan_arguments(archive, quiet), *TILED])
    assert code == 0, errors
    process = start_command([*scan_arguments(archive, run), *TILED])
    while process.poll() is None and len(list(run.glob("frames/*.parquet"))) < 2:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    code, _, errors = run_command(scan_arguments(archive, run))
    assert code == 1
    assert "another cascade, engine or settings" in errors
    code, _, errors = run_command([*scan_arguments(archive, run), *TILED])
    assert code == 0, errors
    assert fingerprint(run) == fingerprint(quiet)
