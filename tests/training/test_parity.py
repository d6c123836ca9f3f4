"""The parity gate on run folders: equal runs pass, damaged scores do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from forensics.cascade.definition import load_cascade
from forensics.errors import TrainingError
from forensics.evaluation.common import restrict
from forensics.evaluation.log import read_log
from forensics.evaluation.rules import run_operating_point
from forensics.footage.find import common_base, find_inputs
from forensics.footage.protocol import Sampling
from forensics.runlog.reader import RunTables, open_run
from forensics.scan.local import scan
from forensics.scan.settings import default_settings
from forensics.training.parity import Limits, check_parity, margins
from forensics.truth.base import Truth
from forensics.truth.load import load_truth
from forensics.types import OperatingPoint
from tests.support.scans import Silent

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
FILES = [SAMPLE / name for name in ("gate-pistol.mp4", "lawn-pistol.mp4", "gate-plain.mp4")]

FEW = Limits(min_found=5)  # the small run finds a handful


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> RunTables:
    folder = tmp_path_factory.mktemp("parity") / "RUN"
    settings = replace(default_settings(), imgsz=320, sampling=Sampling(3))
    scan(find_inputs(FILES, recursive=False), common_base(FILES), folder, settings,
         progress=Silent())  # fmt: skip
    return open_run(folder)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return load_truth((SAMPLE / "truth",), None)


def with_scores(run: RunTables, change: Any, column: str = "detector_score") -> RunTables:
    """The run with other scores, as another kind of model files would have given."""
    table = run.detections
    scores = change(table[column].to_numpy(zero_copy_only=False).astype(np.float64))
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    array = pa.array(scores.astype(np.float32), pa.float32())
    return replace(run, detections=table.set_column(place, field, array))


def test_a_run_equals_itself(reference: RunTables, truth: Truth) -> None:
    found = check_parity(reference, reference, truth, run_operating_point(reference), FEW)
    assert found.failures == ()
    facts = found.facts
    assert facts["decisions"]["flipped"] == 0 and facts["decisions"]["near"] > 20
    assert facts["recall"]["level"] == "boxes" and facts["recall"]["loss"] == 0
    assert facts["recall"]["found"] > 5
    assert facts["drift"]["matched"] == facts["drift"]["boxes"] > 100
    assert facts["drift"]["detector_score"] == [0.0, 0.0, 0.0]
    assert found.to_json()["passed"] is True


def test_too_few_targets_prove_nothing(reference: RunTables, truth: Truth) -> None:
    limits = Limits(min_found=10**6)
    found = check_parity(reference, reference, truth, run_operating_point(reference), limits)
    assert len(found.failures) == 1 and "validate on more footage" in found.failures[0]


def test_lower_scores_flip_but_keep_recall_at_equal_false_alarms(
    reference: RunTables, truth: Truth
) -> None:
    """A monotone change moves decisions at a fixed threshold; the ranking stays."""
    lower = with_scores(reference, lambda scores: scores * 0.9)
    found = check_parity(reference, lower, truth, run_operating_point(reference), FEW)
    assert found.facts["recall"]["loss"] == 0
    assert found.facts["decisions"]["flipped"] > 0 and found.facts["decisions"]["raised"] == 0
    strict = check_parity(
        reference, lower, truth, run_operating_point(reference), Limits(max_flips=0.0, min_found=5)
    )
    assert len(strict.failures) == 1 and "flip" in strict.failures[0]


def test_shuffled_scores_lose_recall(reference: RunTables, truth: Truth) -> None:
    dice = np.random.default_rng(4)
    mixed = with_scores(reference, dice.permutation)
    found = check_parity(reference, mixed, truth, run_operating_point(reference), FEW)
    assert any("recall at equal false alarms falls" in text for text in found.failures)
    recall = found.facts["recall"]
    assert recall["found"] < recall["found_reference"]


def test_classifier_scores_count(reference: RunTables, truth: Truth) -> None:
    none = with_scores(reference, np.zeros_like, "target_score")
    found = check_parity(reference, none, truth, run_operating_point(reference), FEW)
    assert found.facts["recall"]["found"] == 0
    alone = OperatingPoint(0.25, None)
    assert check_parity(reference, none, truth, alone, FEW).failures == ()


def test_margin_is_the_lesser_of_both(reference: RunTables) -> None:
    log = read_log(reference)
    point = OperatingPoint(0.25, 0.5)
    margin = margins(log, point)
    fires = (log.score >= np.float32(0.25)) & (log.target >= np.float32(0.5))
    np.testing.assert_array_equal(margin >= 0, fires)
    first = int(np.flatnonzero(fires)[0])
    by_hand = min(
        np.log(log.score[first] / (1 - log.score[first])) - np.log(0.25 / 0.75),
        np.log(log.target[first] / (1 - log.target[first])),
    )
    assert margin[first] == pytest.approx(by_hand, abs=1e-4)


def test_runs_over_other_footage_are_refused(reference: RunTables, truth: Truth) -> None:
    fewer = restrict(reference, {reference.media["media_id"][0].as_py()})
    with pytest.raises(TrainingError, match="different frames"):
        check_parity(reference, fewer, truth, run_operating_point(reference), FEW)


def test_truth_without_targets_is_refused(reference: RunTables, truth: Truth) -> None:
    plain = [m.as_py() for m, p in zip(reference.media["media_id"], reference.media["path"],
             strict=True) if "plain" in p.as_py()]  # fmt: skip
    run = restrict(reference, set(plain))
    with pytest.raises(TrainingError, match="no target"):
        check_parity(run, run, truth, run_operating_point(run))


def test_reference_is_the_bundled_cascade(reference: RunTables) -> None:
    assert reference.manifest["cascade"]["sha256"] == load_cascade("handgun").sha256
