"""Files that get another name, or another camera, between two runs of the same scan."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.evaluation.evaluate import evaluate
from forensics.footage.find import common_base, find_inputs
from forensics.footage.protocol import Sampling
from forensics.report.examined import examine
from forensics.runlog.ledger import Ledger
from forensics.runlog.reader import open_run
from forensics.runlog.verify import verify_run
from forensics.scan.finish import media_rows, planned_rows
from forensics.scan.local import scan
from forensics.scan.rows import media_row
from forensics.truth.load import load_truth
from tests.footage.test_find import bury
from tests.scan.test_resume import Interrupting
from tests.support.clips import write_clip, write_stills_with_a_copy
from tests.support.scans import Silent, fingerprint, run_small_scan, small_settings

SAMPLED = Sampling(frame_step=5)


def quick(paths: Any, run: Path, **changes: Any) -> Any:
    return run_small_scan(paths, run, detector_only=True, **{"sampling": SAMPLED, **changes})


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    write_clip(folder / "m.mp4", frames=20, first=100)
    write_clip(folder / "z.mp4", frames=50)
    return folder


def denominators(run: Path, truth_of: str, tmp_path: Path) -> dict[str, Any]:
    spans = tmp_path / f"{run.name}.csv"
    spans.write_text(f"file,start_s,end_s,class\n{truth_of},0,9,none\nm.mp4,0,9,none\n")
    return dict(evaluate(open_run(run), load_truth([spans], None)).to_json()["denominators"])


@pytest.mark.parametrize(
    ("at", "new"),
    [(None, "a.mp4"), (None, "zz.mp4"), (("segment", 2), "a.mp4"), (("segment", 3), "zz.mp4")],
)
def test_a_file_renamed_between_two_runs_counts_once(
    clips: Path, tmp_path: Path, at: tuple[str, int] | None, new: str
) -> None:
    quick(clips, tmp_path / "run", progress=Interrupting(*at) if at else None)
    (clips / "z.mp4").rename(clips / new)
    result = quick(clips, tmp_path / "run")
    quick(clips, tmp_path / "fresh")
    run, fresh = open_run(tmp_path / "run"), open_run(tmp_path / "fresh")
    assert run.coverage.equals(fresh.coverage)
    assert run.frames.equals(fresh.frames)
    assert result.media[:2] == fresh.media.to_pylist()
    books = denominators(tmp_path / "run", new, tmp_path)
    assert books == denominators(tmp_path / "fresh", new, tmp_path)
    assert (books["frames_footage"], books["frames_processed"]) == (70, 14)
    assert examine(run).hours_examined == examine(fresh).hours_examined
    assert [f for f in verify_run(tmp_path / "run") if f.problem and f.name != "z.mp4"] == []
    gone = {row["path"]: row["reason"] for row in result.media[2:]}
    assert gone == {"z.mp4": f"same content as {new}; no longer among the files offered"}


def test_a_copy_that_joins_before_its_original_changes_no_count(
    clips: Path, tmp_path: Path
) -> None:
    quick(clips, tmp_path / "run")
    shutil.copy(clips / "z.mp4", clips / "a.mp4")
    again = Silent()
    quick(clips, tmp_path / "run", progress=again)
    assert again.seen == 0
    quick(clips, tmp_path / "fresh")
    assert fingerprint(tmp_path / "run") == fingerprint(tmp_path / "fresh")


def test_a_copy_whose_original_is_gone_before_its_turn_is_scanned(tmp_path: Path) -> None:
    folder = write_stills_with_a_copy(tmp_path / "stills")
    quick(folder, tmp_path / "run", progress=Interrupting("file", 1))  # the copy is on record
    (folder / "1.png").unlink()
    result = quick(folder, tmp_path / "run")
    assert [(row["path"], row["status"]) for row in result.media] == [
        ("2.png", "ok"),
        ("3.png", "ok"),
        ("1.png", "ok"),
    ]
    run = open_run(tmp_path / "run")
    assert run.frames.num_rows == 2
    assert sorted(c["path"] for c in run.coverage.to_pylist()) == ["2.png", "3.png"]


def test_every_row_has_the_camera_of_the_rule_in_force(clips: Path, tmp_path: Path) -> None:
    def cameras(rule: str) -> dict[str, str]:
        inputs = find_inputs([clips], recursive=True, camera=rule)
        settings = small_settings(detector_only=True)
        base = common_base([clips])
        scan(inputs, base, tmp_path / "run", settings, progress=Silent())
        rows = open_run(tmp_path / "run").media.to_pylist()
        return {row["path"]: row["camera_id"] for row in rows}

    assert cameras("file") == {"m.mp4": "m.mp4", "z.mp4": "z.mp4"}
    write_clip(clips / "y.mp4", frames=10, first=200)
    (clips / "z.mp4").unlink()
    found = cameras("([a-z])[.]mp4")
    assert found == {"m.mp4": "m", "y.mp4": "y", "z.mp4": "z.mp4"}, "what is gone keeps its own"


def test_a_folder_that_cannot_be_listed_is_an_input_that_was_not_scanned(
    clips: Path, tmp_path: Path
) -> None:
    deep = bury(clips)
    result = quick([clips], tmp_path / "run")
    (row,) = [row for row in result.not_scanned if row["path"] == deep]
    assert (row["status"], row["reason"]) == ("refused", "cannot be listed: File name too long")
    coverage = [c for c in open_run(tmp_path / "run").coverage.to_pylist() if c["path"] == deep]
    assert [(c["state"], c["n_frames"]) for c in coverage] == [("undecodable", None)]
    scanned = [row["path"] for row in result.media if row["status"] == "ok"]
    assert scanned == ["m.mp4", "z.mp4"], "the other files were scanned"


def test_a_folder_that_can_be_listed_again_leaves_no_row(clips: Path, tmp_path: Path) -> None:
    files = find_inputs([clips], recursive=True)
    ledger = Ledger(tmp_path, "0" * 64)
    for name in ("closed", "clos"):
        folder = replace(files[0], relative=name, refused="cannot be listed: Permission denied")
        ledger.put_media(
            media_row(folder, None, status="refused", reason=folder.refused), done=False
        )
    opened = [replace(file, relative=f"closed/{file.relative}") for file in files]
    ledger.plan_media(planned_rows(opened))
    rows, _ = media_rows(ledger, opened)
    ledger.close()
    assert [row["path"] for row in rows] == ["closed/m.mp4", "closed/z.mp4", "clos"]
