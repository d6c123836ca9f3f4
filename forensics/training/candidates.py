"""What a run's detections are, by the truth: targets, near misses, false alarms, confusers.

Best IoU with a target's truth box at least 0.5: target. At least 0.1: near miss, recorded but not
trained on. Below: false alarm, unless it overlaps a confuser's truth box by 0.5 or more; a truth
class mapped to `other` stays among the false alarms. What the truth cannot judge is left out, and
counted per file with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forensics.boxes import area, clip, iou_matrix
from forensics.evaluation.align import IGNORED, UNLABELLED, Labels, align
from forensics.evaluation.classes import DECOY, TARGET
from forensics.evaluation.log import Bools, Floats, Ints, Log, read_log
from forensics.evaluation.match import find_pairs, overlaps_with
from forensics.evaluation.rules import Rules, target_classes
from forensics.runlog.reader import RunTables
from forensics.truth.base import IGNORE, NONE, Problem, Truth
from forensics.types import FloatArray

KINDS = ("target", "false_alarm", "near_miss", "confuser")
TARGET_KIND, FALSE_ALARM, NEAR_MISS, CONFUSER = range(4)
HIT_IOU, NEAR_IOU = 0.5, 0.1
OTHER = "other"

NO_TRUTH = "on frames without truth"
SPAN_ONLY = "on frames that a span calls positive: without boxes none can be judged"
IGNORED_FRAME = "on frames that the truth ignores"
IN_REGION = "in regions that the truth ignores, or on boxes of classes unknown here"
OUTSIDE = "truth boxes wholly outside the picture"
TWICE = "the same box twice"
_REASONS = (NO_TRUTH, SPAN_ONLY, IGNORED_FRAME, IN_REGION)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes to cut out, ordered by media, frame, then as found; C rows.

    `media` int64 (C,) into the log's media; `frame_index` int64; `time_s` float64, NaN for
    stills; `xyxy` float32 (C, 4), source pixels; `score` float32, NaN for truth boxes; `iou`
    float32, best with a target's truth box; `kind` int8 into KINDS; `truth_class` "" for none;
    `label` "" where there is none to train on.
    """

    media: Ints
    frame_index: Ints
    time_s: Floats
    xyxy: FloatArray
    score: FloatArray
    iou: FloatArray
    kind: NDArray[np.int8]
    truth_class: tuple[str, ...]
    label: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: Ints) -> Candidates:
        return Candidates(
            self.media[rows],
            self.frame_index[rows],
            self.time_s[rows],
            self.xyxy[rows],
            self.score[rows],
            self.iou[rows],
            self.kind[rows],
            tuple(self.truth_class[row] for row in rows),
            tuple(self.label[row] for row in rows),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Candidates, what was left out (media path, reason) -> detections, and what was wrong."""

    log: Log
    candidates: Candidates
    left_out: Counter[tuple[str, str]]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Classes:
    """How truth classes are read: renamed by `class_map`, `confusers` are told apart."""

    class_map: dict[str, str]
    confusers: tuple[str, ...] = ()
    unlabelled: str = "skip"


def judge(run: RunTables, truth: Truth, classes: Classes, *, truth_boxes: bool) -> Judged:
    """Label every detection of `run`; with `truth_boxes` also the truth's own boxes.

    Raises TruthError where the truth fits no file of the run.
    """
    log, targets = read_log(run), target_classes(run)
    class_map, problems = _without_unknown(truth, classes, targets)
    rules = Rules(iou=HIT_IOU, class_map=class_map, unlabelled=classes.unlabelled)
    labels = align(log, truth, rules, targets, (*classes.confusers, OTHER))
    found, left_out = _detections(log, labels)
    if truth_boxes:
        own, outside = _truth_boxes(log, labels)
        found = _merged(found, own)
        left_out.update(outside)
    kept, twice = _distinct(found)
    left_out.update({(log.path[media], TWICE): count for media, count in twice.items()})
    return Judged(log, kept, left_out, problems, labels.notes)


def _without_unknown(
    truth: Truth, classes: Classes, targets: Sequence[str]
) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """The class map with unknown classes as ignore regions, and a problem for each such box."""
    known = {*targets, *classes.confusers, NONE, IGNORE, OTHER, ""}
    mapped = {name: classes.class_map.get(name, name) for name in truth.classes}
    unknown = {name for name, new in mapped.items() if new not in known}
    if not unknown:
        return dict(classes.class_map), ()
    problems = []
    for media in truth.media:
        marks = [*zip(media.boxes.label, media.boxes.where, strict=True)]
        marks += [(span.label, span.where) for span in media.spans]
        problems += [
            Problem(
                where,
                f"class {mapped[name]!r} is neither a target ({', '.join(targets)}) nor named by "
                f"--confuser: detections on it are left out; map it with --class-map {name}=NAME, "
                f"or call it nothing with --class-map {name}=",
            )
            for name, where in marks
            if name in unknown
        ]
    return dict(classes.class_map) | dict.fromkeys(unknown, IGNORE), tuple(problems)


def _detections(log: Log, labels: Labels) -> tuple[Candidates, Counter[tuple[str, str]]]:
    pairs = find_pairs(log, labels, HIT_IOU)
    every = np.arange(len(log.score))
    iou = overlaps_with(log, labels, every, TARGET)
    kind = np.where(iou >= HIT_IOU, TARGET_KIND, FALSE_ALARM)
    kind[(iou < HIT_IOU) & (iou >= NEAR_IOU)] = NEAR_MISS
    names = np.array([*labels.boxes.name, ""], object)
    truth_box = np.full(len(every), -1, np.int64)
    truth_box[pairs.candidate] = pairs.gt[_best(pairs.iou, pairs.start)]
    on_confuser = (kind == FALSE_ALARM) & (pairs.decoy >= 0) & (names[pairs.decoy] != NONE)
    kind[on_confuser & (names[pairs.decoy] != OTHER)] = CONFUSER
    truth_box[on_confuser] = pairs.decoy[on_confuser]
    reason = _why_not(labels, log.det_frame, pairs.in_region & (kind != TARGET_KIND))
    left_out: Counter[tuple[str, str]] = Counter()
    media = log.frame_media[log.det_frame]
    for code, number in zip(media[reason >= 0].tolist(), reason[reason >= 0].tolist(), strict=True):
        left_out[log.path[code], _REASONS[number]] += 1
    rows = np.flatnonzero(reason < 0)
    frame = log.det_frame[rows]
    found = _candidates(log, frame, log.boxes(rows), kind[rows], names[truth_box[rows]])
    score, overlap = log.score[rows].astype(np.float32), iou[rows].astype(np.float32)
    return replace(found, score=score, iou=overlap), left_out


def _best(iou: Floats, start: Ints) -> Ints:
    """Of each candidate's pairs iou[start[k]:start[k + 1]], the place of the best."""
    ends = zip(start[:-1].tolist(), start[1:].tolist(), strict=True)
    return np.array([low + int(np.argmax(iou[low:high])) for low, high in ends], np.int64)


def _why_not(labels: Labels, frame: Ints, in_region: Bools) -> Ints:
    """Number of the reason in _REASONS why a detection cannot be judged, or -1."""
    state = labels.frame[frame]
    reason = np.full(len(frame), -1, np.int64)
    reason[in_region] = _REASONS.index(IN_REGION)
    reason[~labels.has_boxes[frame]] = _REASONS.index(SPAN_ONLY)
    reason[state == UNLABELLED] = _REASONS.index(NO_TRUTH)
    reason[state == IGNORED] = _REASONS.index(IGNORED_FRAME)
    return reason


def _candidates(
    log: Log, frame: Ints, xyxy: FloatArray, kind: NDArray[np.int64], names: NDArray[np.object_]
) -> Candidates:
    media = log.frame_media[frame]
    labels = [
        str(name) if number in {TARGET_KIND, CONFUSER} else OTHER if number == FALSE_ALARM else ""
        for name, number in zip(names, kind, strict=True)
    ]
    return Candidates(
        media=media,
        frame_index=log.frame_index[frame],
        time_s=np.where(log.still[media], np.nan, log.time_s[frame]),
        xyxy=np.asarray(xyxy, np.float32).reshape(-1, 4),
        score=np.full(len(frame), np.nan, np.float32),
        iou=np.zeros(len(frame), np.float32),
        kind=kind.astype(np.int8),
        truth_class=tuple(map(str, names)),
        label=tuple(labels),
    )


def _truth_boxes(log: Log, labels: Labels) -> tuple[Candidates, Counter[tuple[str, str]]]:
    """Truth boxes of targets and confusers, clipped to the picture as detections are."""
    boxes = labels.boxes
    names = np.array(boxes.name, object)
    wanted = (boxes.kind == TARGET) | ((boxes.kind == DECOY) & (names != NONE))
    wanted &= labels.frame[boxes.frame] != IGNORED
    xyxy = np.array(boxes.xyxy, np.float64).reshape(-1, 4)
    media = log.frame_media[boxes.frame]
    for code in np.unique(media[log.width[media] > 0]).tolist():
        here = media == code
        xyxy[here] = clip(xyxy[here], int(log.width[code]), int(log.height[code]))
    outside = wanted & (area(xyxy) <= 0)
    left_out = Counter((log.path[code], OUTSIDE) for code in media[outside].tolist())
    rows = np.flatnonzero(wanted & ~outside)
    kind = np.where(names[rows] == OTHER, FALSE_ALARM, CONFUSER)
    kind[boxes.kind[rows] == TARGET] = TARGET_KIND
    found = _candidates(log, boxes.frame[rows], xyxy[rows].astype(np.float32), kind, names[rows])
    iou = [_with_targets(labels, row, xyxy) for row in rows.tolist()]
    return replace(found, iou=np.array(iou, np.float32)), left_out


def _with_targets(labels: Labels, row: int, xyxy: Floats) -> float:
    """Best IoU of truth box `row` with the targets of its frame."""
    boxes = labels.boxes
    first, stop = np.searchsorted(boxes.frame, [boxes.frame[row], boxes.frame[row] + 1])
    targets = first + np.flatnonzero(boxes.kind[first:stop] == TARGET)
    return float(iou_matrix(xyxy[row][None], xyxy[targets]).max(initial=0.0))


def _merged(first: Candidates, second: Candidates) -> Candidates:
    """Both, by media and frame; within a frame the rows of `first` come first."""
    both = Candidates(
        np.concatenate([first.media, second.media]),
        np.concatenate([first.frame_index, second.frame_index]),
        np.concatenate([first.time_s, second.time_s]),
        np.concatenate([first.xyxy, second.xyxy]),
        np.concatenate([first.score, second.score]),
        np.concatenate([first.iou, second.iou]),
        np.concatenate([first.kind, second.kind]),
        first.truth_class + second.truth_class,
        first.label + second.label,
    )
    return both.take(np.lexsort((both.frame_index, both.media)).astype(np.int64))


def _distinct(found: Candidates) -> tuple[Candidates, Counter[int]]:
    """Each box of a frame once; the first stays. Also: how many went, per media."""
    place = np.stack([found.media, found.frame_index], axis=1).astype(np.float64)
    _, first = np.unique(
        np.concatenate([place, found.xyxy.astype(np.float64)], axis=1), axis=0, return_index=True
    )
    gone = np.setdiff1d(np.arange(len(found)), first)
    return found.take(np.sort(first).astype(np.int64)), Counter(found.media[gone].tolist())
