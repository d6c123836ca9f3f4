"""The hand-made truth of the real footage, joined to a run of the same files' frame times."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from forensics.evaluation import evaluate, prepare
from forensics.evaluation.align import FRAME_LABELS
from forensics.evaluation.levels import CASCADE, count_arm
from forensics.truth import load_truth
from forensics.types import OperatingPoint

from .helpers import Clip, make_run
from .test_oracles import STEPS, coco_counts, oracle

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("FORENSICS_DATA", ROOT.parent / "shared" / "data"))
TRUTH = DATA / "footage" / "truth"
pytestmark = pytest.mark.skipif(
    not TRUTH.is_dir(), reason="no real data (set FORENSICS_DATA)"
)  # fmt: skip
N_FRAMES = 496


def shop_counter(rng: np.random.Generator) -> tuple[Clip, dict, dict]:
    """The clip with boxes scattered around its true ones: (clip, detections, true boxes)."""
    coco = json.loads((TRUTH / "shop-counter.coco.json").read_text())
    index = {image["id"]: image["frame_index"] for image in coco["images"]}
    ignored = {image["frame_index"] for image in coco["images"] if image.get("ignore")}
    true = {i: [] for i in index.values() if i not in ignored}
    for annotation in coco["annotations"]:
        true[index[annotation["image_id"]]].append(annotation["bbox"])
    found = {}
    for i in range(0, N_FRAMES, 4):
        boxes = [np.array(box) + rng.normal(0, 12, 4) for box in true.get(i, []) * 2]
        boxes.append(rng.uniform(20, 400, 4))
        score = np.round(np.sort(rng.uniform(0.05, 1, len(boxes)))[::-1], 2)
        target = np.round(rng.uniform(0, 1, len(boxes)), 2)
        rounded = [np.round(np.abs(box) * 4) / 4 + 1 for box in boxes]
        found[i] = [
            (box.tolist(), float(s), float(c))
            for box, s, c in zip(rounded, score, target, strict=True)
        ]
    times = [k * 1001 / 24000 for k in range(N_FRAMES)]
    clip = Clip("gun/shop-counter.mp4", N_FRAMES, times_s=times, detections=found, size=(1280, 720))
    return clip, found, true


def test_boxes_and_spans_of_one_clip_meet_frame_by_frame() -> None:
    clip, _, true = shop_counter(np.random.default_rng(1))
    prepared = prepare(make_run(clip), load_truth([TRUTH]))
    labels = [FRAME_LABELS[label] for label in prepared.labels.frame]
    assert int(prepared.labels.has_boxes.sum()) == len(true) == 58
    assert labels[0] == labels[8] == "ignored" and labels[15] == "ignored"
    assert labels[16] == "positive" and labels[N_FRAMES - 1] == "positive"
    assert labels[75] == "ignored" and labels[96] == "ignored"
    assert labels.count("negative") == 0 and labels.count("unlabelled") == 0
    assert len(prepared.incidents) == 1
    assert prepared.incidents.start_s.tolist() == pytest.approx([0.667], abs=0.001)
    figures = evaluate(make_run(clip), load_truth([TRUTH]))
    assert any("71 files that are not in the run" in note for note in figures.notes)


def test_counts_on_it_equal_pycocotools() -> None:
    clip, found, true = shop_counter(np.random.default_rng(2))
    prepared = prepare(make_run(clip), load_truth([TRUTH]))
    coco, evaluator = oracle("pycocotools")
    annotations = [
        {"id": k + 1, "image_id": i + 1, "category_id": 1, "bbox": box, "iscrowd": 0,
         "area": box[2] * box[3]}
        for k, (i, box) in enumerate((i, box) for i, boxes in true.items() for box in boxes)
    ]  # fmt: skip
    dataset = {
        "info": {},
        "images": [{"id": i + 1} for i in true],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "gun"}],
    }
    kept = {i: found.get(i, []) for i in true}
    for pair in zip(STEPS, STEPS[::-1], strict=True):
        box = count_arm(prepared, OperatingPoint(*pair), CASCADE).box
        ours = (int(box.tp.sum()), int(box.fp.sum()), int(box.ignored.sum()))
        assert ours == coco_counts(coco, evaluator, dataset, kept, pair, 0.5)
