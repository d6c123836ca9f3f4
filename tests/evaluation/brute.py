"""Slow, literal counting at one operating point, written apart from the product's code."""

from __future__ import annotations

from typing import Any

import numpy as np

from forensics import boxes


def xyxy(rows: Any) -> np.ndarray:
    array = np.asarray(rows, np.float64).reshape(-1, 4).copy()
    array[:, 2:] += array[:, :2]
    return array


def match_frame(found: Any, gt: Any, crowd: Any, iou: float) -> list[str]:
    """pycocotools' evaluateImg for one class: found = [(xywh, score), ...] by falling score."""
    real, region = xyxy(gt), xyxy(crowd)
    boxes_found = xyxy([f[0] for f in found])
    overlap = boxes.iou_matrix(boxes_found, real)
    inside = boxes.intersection_over_first(boxes_found, region)
    least, used, words = min(iou, 1 - 1e-10), set(), []
    for d in range(len(found)):
        best, choice = least, None
        for g in range(len(real)):
            if g not in used and overlap[d, g] >= best:
                best, choice = overlap[d, g], g
        if choice is not None:
            used.add(choice)
            words.append("tp")
        else:
            words.append("ignored" if (inside[d] >= least).any() else "fp")
    return words


def count(
    frames: Any, detector: float, classifier: float | None, iou: float = 0.5
) -> dict[str, int]:
    """Box and frame counts of [(detections, gt, crowd), ...]."""
    names = ("tp", "fp", "ignored", "fn", "frame_tp", "frame_fp", "localised")
    total = dict.fromkeys(names, 0)
    for found, gt, crowd in frames:
        alive = [
            d
            for d in found
            if np.float32(d[1]) >= np.float32(detector)
            and (classifier is None or np.float32(d[2]) >= np.float32(classifier))
        ]
        words = match_frame(alive, gt, crowd, iou)
        for word in words:
            total[word] += 1
        total["fn"] += len(gt) - words.count("tp")
        if gt:
            total["frame_tp"] += bool(alive)
            near = boxes.iou_matrix(xyxy([d[0] for d in alive]), xyxy(gt)) >= min(iou, 1 - 1e-10)
            total["localised"] += bool(near.any())
        else:
            # A box inside an ignore region raises no false alarm.
            total["frame_fp"] += any(word != "ignored" for word in words)
    return total


def events(clips: Any, gap_s: float, collar_s: float) -> dict[str, int]:
    """Alerts of [(alarm times, incident spans), ...], one file each; incidents stand apart."""
    total = dict.fromkeys(("alerts", "false", "repeat", "detected"), 0)
    for times, spans in clips:
        runs: list[list[float]] = []
        for time_s in sorted(times):
            if runs and time_s - runs[-1][-1] <= gap_s:
                runs[-1].append(time_s)
            else:
                runs.append([time_s])
        zones = [(start - collar_s, end + collar_s) for start, end in spans]
        touching = [
            [any(low <= time_s <= high for time_s in run) for low, high in zones] for run in runs
        ]
        firsts = {
            min(i for i, touched in enumerate(touching) if touched[z])
            for z in range(len(zones))
            if any(touched[z] for touched in touching)
        }
        total["alerts"] += len(runs)
        total["false"] += sum(not any(touched) for touched in touching)
        total["repeat"] += sum(
            any(touched) and i not in firsts for i, touched in enumerate(touching)
        )
        total["detected"] += sum(any(t[z] for t in touching) for z in range(len(zones)))
    return total
