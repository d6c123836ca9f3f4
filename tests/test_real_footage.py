"""The main job on the real footage: counts against pycocotools, from a real scan."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from forensics.evaluation import evaluate
from forensics.footage.find import common_base, find_inputs
from forensics.footage.protocol import Sampling
from forensics.runlog.reader import RunTables, open_run
from forensics.scan.local import scan
from forensics.scan.settings import ScanSettings, default_settings
from forensics.truth.load import load_truth
from forensics.types import OperatingPoint
from tests.support.data import FOOTAGE, needs_footage
from tests.support.scans import Silent

CLIP = FOOTAGE / "gun" / "shop-counter.mp4"
LABELS = FOOTAGE / "truth" / "shop-counter.coco.json"
PAIRS = [(d, c) for d in (0.05, 0.08, 0.12, 0.2, 0.35) for c in (None, 0.1, 0.5, 0.9)]

pytestmark = needs_footage


@pytest.fixture(scope="module")
def shop_run(tmp_path_factory: pytest.TempPathFactory) -> RunTables:
    """The shop robbery at every labelled frame, logged down to 0.02."""
    from dataclasses import replace

    base: ScanSettings = default_settings()
    settings = replace(base, floor=0.02, gate=0.02, sampling=Sampling(frame_step=8))
    folder = tmp_path_factory.mktemp("shop") / "run"
    inputs = find_inputs([CLIP], recursive=False)
    result = scan(inputs, common_base([CLIP]), folder, settings, progress=Silent())
    assert result.frames == 62
    assert [row["frames_decoded"] for row in result.media] == [496]
    return open_run(folder)


@pytest.mark.parametrize(("detector", "classifier"), PAIRS)
def test_box_counts_equal_pycocotools(
    shop_run: RunTables, detector: float, classifier: float | None
) -> None:
    truth = load_truth([LABELS])
    point = OperatingPoint(detector, 0.5 if classifier is None else classifier)
    ours = evaluate(shop_run, truth, operating_point=point).to_json()["arms"]
    counts = ours["detector" if classifier is None else "cascade"]["box"]
    assert (counts["tp"], counts["fp"], counts["fn"]) == coco_counts(shop_run, detector, classifier)


def test_the_scan_finds_something(shop_run: RunTables) -> None:
    """Otherwise equal counts would say little."""
    assert any(coco_counts(shop_run, d, None)[0] for d, c in PAIRS if c is None)
    assert coco_counts(shop_run, 0.05, None)[1] > 0


def coco_counts(run: RunTables, detector: float, classifier: float | None) -> tuple[int, int, int]:
    """TP, FP, FN at IoU 0.5 by pycocotools, with the survivors given to it."""
    labels = json.loads(LABELS.read_text())
    images = {i["frame_index"]: i["id"] for i in labels["images"] if not i["ignore"]}
    rows = run.detections.to_pandas()
    survives = rows["detector_score"].to_numpy() >= np.float32(detector)
    if classifier is not None:
        survives &= rows["target_score"].to_numpy(np.float32) >= np.float32(classifier)
    results = [
        _result(row, images[int(row["frame_index"])])
        for row in rows[survives].to_dict("records")
        if int(row["frame_index"]) in images
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(LABELS))
        found = truth.loadRes(results) if results else COCO()
        n_truth = sum(len(truth.getAnnIds(imgIds=[i])) for i in images.values())
        if not results:
            return 0, 0, n_truth
        judge = COCOeval(truth, found, "bbox")
        judge.params.imgIds = sorted(images.values())
        judge.params.iouThrs = np.array([0.5])
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.params.maxDets = [100_000]
        judge.evaluate()
    matched = sum(int((e["dtMatches"][0] > 0).sum()) for e in judge.evalImgs if e)
    return matched, len(results) - matched, n_truth - matched


def _result(row: dict[str, Any], image_id: int) -> dict[str, Any]:
    x, y = float(row["x_min"]), float(row["y_min"])
    box = [x, y, float(row["x_max"]) - x, float(row["y_max"]) - y]
    return {"image_id": image_id, "category_id": 1, "bbox": box, "score": row["detector_score"]}


def test_footage_folder_is_there() -> None:
    assert len(find_inputs([Path(FOOTAGE)], recursive=True)) == 73
