"""Box counts at 49 threshold pairs against pycocotools and faster-coco-eval, crowds and ties."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from forensics.evaluation import prepare
from forensics.evaluation.levels import CASCADE, count_arm
from forensics.evaluation.rules import Rules
from forensics.types import OperatingPoint

from .helpers import Clip, boxes_truth, make_run, random_frames

STEPS = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)
N_FRAMES = 120


def coco_truth(truth: Any, crowds: Any) -> dict[str, Any]:
    """Ids start at 1: an annotation with id 0 would never count as matched."""
    annotations: list[dict[str, Any]] = []
    for index in truth:
        for crowd, boxes in ((0, truth[index]), (1, crowds[index])):
            annotations += [
                {"image_id": index + 1, "category_id": 1, "bbox": list(box), "iscrowd": crowd,
                 "area": box[2] * box[3], "ignore": 0, "id": len(annotations) + 1 + number}
                for number, box in enumerate(boxes)
            ]  # fmt: skip
    return {
        "info": {},
        "images": [{"id": i + 1, "width": 640, "height": 480, "file_name": f"{i}"} for i in truth],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "gun"}],
    }


def coco_counts(coco: Any, evaluator: Any, truth: Any, found: Any, pair: Any, iou: float) -> Any:
    """(TP, FP, ignored) as the tool's own per-image matching has them."""
    detector, classifier = (np.float32(value) for value in pair)
    results = [
        {"image_id": index + 1, "category_id": 1, "bbox": list(box), "score": score}
        for index, rows in found.items()
        for box, score, target in rows
        if np.float32(score) >= detector and np.float32(target) >= classifier
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        gt = coco()
        gt.dataset = truth
        gt.createIndex()
        tool = evaluator(gt, gt.loadRes(results), "bbox")
        tool.params.iouThrs = np.array([iou])
        tool.params.maxDets = [1, 10, 100_000]
        tool.params.areaRng, tool.params.areaRngLbl = [[0, 1e10]], ["all"]
        tool.evaluate()
    matched = np.concatenate([e["dtMatches"][0] for e in tool.evalImgs if e is not None]) > 0
    ignored = np.concatenate([e["dtIgnore"][0] for e in tool.evalImgs if e is not None]) > 0
    return (
        int((matched & ~ignored).sum()), int((~matched & ~ignored).sum()), int(ignored.sum())
    )  # fmt: skip


def oracle(name: str) -> tuple[Any, Any]:
    if name == "pycocotools":
        coco = pytest.importorskip("pycocotools.coco").COCO
        return coco, pytest.importorskip("pycocotools.cocoeval").COCOeval
    module = pytest.importorskip("faster_coco_eval")
    return module.COCO, module.COCOeval_faster


@pytest.mark.parametrize("iou", [0.5, 0.75])
def test_counts_equal_pycocotools_at_49_pairs(iou: float) -> None:
    found, truth, crowds = random_frames(np.random.default_rng(11), N_FRAMES)
    run = make_run(Clip("a.mp4", N_FRAMES, detections=found))
    prepared = prepare(run, boxes_truth("a.mp4", truth, crowd=crowds), Rules(iou=iou))
    coco, evaluator = oracle("pycocotools")
    dataset = coco_truth(truth, crowds)
    for detector in STEPS:
        for classifier in STEPS:
            box = count_arm(prepared, OperatingPoint(detector, classifier), CASCADE).box
            ours = (int(box.tp.sum()), int(box.fp.sum()), int(box.ignored.sum()))
            pair = (detector, classifier)
            assert ours == coco_counts(coco, evaluator, dataset, found, pair, iou), pair


def test_recall_equals_faster_coco_eval_at_49_pairs() -> None:
    """It gives no per-image lists: its last recall is compared."""
    found, truth, crowds = random_frames(np.random.default_rng(12), N_FRAMES)
    run = make_run(Clip("a.mp4", N_FRAMES, detections=found))
    prepared = prepare(run, boxes_truth("a.mp4", truth, crowd=crowds))
    coco, evaluator = oracle("faster_coco_eval")
    dataset = coco_truth(truth, crowds)
    for detector in STEPS:
        for classifier in STEPS:
            box = count_arm(prepared, OperatingPoint(detector, classifier), CASCADE).box
            recall = int(box.tp.sum()) / int((box.tp + box.fn).sum())
            kept = {
                index: [
                    row
                    for row in rows
                    if np.float32(row[1]) >= np.float32(detector)
                    and np.float32(row[2]) >= np.float32(classifier)
                ]
                for index, rows in found.items()
            }
            with contextlib.redirect_stdout(io.StringIO()):
                gt = coco(dataset)
                results = [
                    {"image_id": i + 1, "category_id": 1, "bbox": list(b), "score": s}
                    for i, rows in kept.items()
                    for b, s, _ in rows
                ]
                tool = evaluator(gt, gt.loadRes(results), "bbox", print_function=lambda *_: None)
                tool.params.iouThrs = np.array([0.5])
                tool.params.maxDets = [1, 10, 100_000]
                tool.params.areaRng, tool.params.areaRngLbl = [[0, 1e10]], ["all"]
                tool.evaluate()
                tool.accumulate()
            assert tool.eval["recall"][0, 0, 0, -1] == pytest.approx(recall, abs=1e-12)
