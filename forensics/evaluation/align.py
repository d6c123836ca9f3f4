"""Join truth to a run: a label for every frame, the boxes of labelled frames, spans of incidents.

A frame with box labels takes these; any other frame takes the span at its time; the rest is
unlabelled. `none` spans make negatives at every level; target spans make positives at frame and
event level, but say nothing on boxes; ignored frames count nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forensics.errors import TruthError
from forensics.evaluation.classes import DECOY, IGNORE_REGION, TARGET, class_roles, truth_notes
from forensics.evaluation.log import Bools, Floats, Ints, Log
from forensics.evaluation.overlap import agree, without
from forensics.evaluation.rules import Rules
from forensics.truth.base import MediaTruth, Span, Truth
from forensics.truth.naming import MediaNames

UNLABELLED, NEGATIVE, POSITIVE, IGNORED = range(4)
FRAME_LABELS = ("unlabelled", "negative", "positive", "ignored")
_SPAN_LABEL = {TARGET: POSITIVE, IGNORE_REGION: IGNORED, DECOY: NEGATIVE}


@dataclass(frozen=True, slots=True, eq=False)
class TruthBoxes:
    """Truth boxes on processed, box-labelled frames, ordered by frame, then as written.

    `frame` int64 (G,) frame row; `xyxy` float64 (G, 4) source pixels; `kind` int8 (G,): TARGET,
    IGNORE_REGION or DECOY; `name` class names; `planted` bool (G,).
    """

    frame: Ints
    xyxy: Floats
    kind: NDArray[np.int8]
    name: tuple[str, ...]
    planted: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Times with a target in view: `media` int64 (K,), `start_s`, `end_s` float64, `planted`."""

    media: Ints
    start_s: Floats
    end_s: Floats
    planted: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The truth laid on the frames of a log.

    `frame` int8 (F,): UNLABELLED, IGNORED, NEGATIVE or POSITIVE; `has_boxes` bool (F,): the frame
    counts at box level; `planted` bool (F,): its target was put there by a computer.
    """

    frame: NDArray[np.int8]
    has_boxes: Bools
    planted: Bools
    boxes: TruthBoxes
    intervals: Intervals
    matched: int
    notes: tuple[str, ...]


def align(
    log: Log, truth: Truth, rules: Rules, targets: tuple[str, ...], known: tuple[str, ...]
) -> Labels:
    """Lay `truth` on `log`; `targets` are looked for, `known` are other classes of the cascade."""
    joiner = _Joiner(log, rules, class_roles(truth, rules, targets, known))
    names = MediaNames(log.aliases)
    missing: dict[str, None] = {}
    for media in truth.media:
        code = names.find(media.name, media.source, suffix_known=media.suffix_known)
        if code is None:
            missing[media.name] = None
        else:
            joiner.add(code, media)
    if not joiner.matched:
        raise TruthError(
            f"none of the {len(missing)} files that the truth names is in the run "
            f"(first: {next(iter(missing), 'none')}); check paths and the run"
        )
    return joiner.finish(truth_notes(truth, list(missing), rules, targets))


@dataclass(slots=True)
class _Joiner:
    """Collects labels media by media."""

    log: Log
    rules: Rules
    roles: dict[str, tuple[str, int] | None]
    matched: int = 0
    notes: list[str] = field(default_factory=list)
    _label: NDArray[np.int8] = field(init=False)
    _has_boxes: Bools = field(init=False)
    _planted: Bools = field(init=False)
    _fixed: Bools = field(init=False)
    _seen: dict[int, list[MediaTruth]] = field(default_factory=dict)
    _spans: dict[int, list[Span]] = field(default_factory=dict)
    _boxes: list[tuple[Ints, Floats, list[int], list[str], Bools]] = field(default_factory=list)
    _intervals: list[tuple[int, float, float, bool]] = field(default_factory=list)
    _unread: int = 0

    def __post_init__(self) -> None:
        count = len(self.log.frame_index)
        self._label = np.zeros(count, np.int8)
        self._has_boxes = np.zeros(count, np.bool_)
        self._planted = np.zeros(count, np.bool_)
        self._fixed = np.zeros(count, np.bool_)

    def add(self, code: int, media: MediaTruth) -> None:
        """Lay the labels of one file on media `code`."""
        self.matched += 1
        self._spans.setdefault(code, []).extend(media.spans)
        earlier = self._seen.setdefault(code, [])
        fresh = self._not_yet_said(code, media, earlier)
        if fresh is not None and len(fresh.frames):
            earlier.append(fresh)
            self._add_frames(code, fresh)

    def _not_yet_said(
        self, code: int, media: MediaTruth, earlier: list[MediaTruth]
    ) -> MediaTruth | None:
        """What `media` says of frames that no other file labelled; contradictions are refused."""
        for other in earlier:
            shared = np.intersect1d(media.frames, other.frames)
            if not len(shared):
                continue
            if not agree(media, other, shared):
                if media.name != other.name and self.log.still[code]:
                    self.notes.append(
                        f"{media.name} shows the same picture as {other.name}: the labels of the "
                        "latter are used"
                    )
                    return None
                raise TruthError(
                    f"{media.name} frame {shared[0]} is labelled by both {other.source} and "
                    f"{media.source}, and frames that both have differently; give one of them"
                )
            media = without(media, shared)
        return media

    def _rows(self, code: int) -> slice:
        return slice(int(self.log.media_start[code]), int(self.log.media_start[code + 1]))

    def _apply_spans(self, code: int, spans: list[Span]) -> None:
        rows = self._rows(code)
        time_s, free = self.log.time_s[rows], ~self._fixed[rows]
        if np.isnan(time_s).all():
            self.notes.append(
                f"{self.log.path[code]} has no frames with a time: its spans label no frame"
                + ("; their incidents cannot be judged, and are left out" if len(time_s) else "")
            )
            if len(time_s):
                return
        last_s = float(np.max(time_s[~np.isnan(time_s)], initial=-np.inf))
        roles = [(span, self.roles[span.label]) for span in spans]
        kept = [(span, _SPAN_LABEL[role[1]]) for span, role in roles if role is not None]
        kept.sort(key=lambda pair: pair[1])  # where spans overlap, the later label wins
        inside = [(time_s >= span.start_s) & (time_s < span.end_s) for span, _ in kept]
        # A span that ends with the last frame holds it, unless another span begins there.
        open_end = free & (time_s == last_s) & ~np.any([np.zeros_like(free), *inside], axis=0)
        for (span, label), within in zip(kept, inside, strict=True):
            covered = free & within
            if span.start_s <= last_s <= span.end_s:
                covered |= open_end
            self._label[rows][covered] = label
            if label == POSITIVE:
                self._planted[rows] |= covered & span.planted
                end_s = max(last_s, span.start_s) if np.isinf(span.end_s) else span.end_s
                self._intervals.append((code, span.start_s, end_s, span.planted))

    def _add_frames(self, code: int, media: MediaTruth) -> None:
        rows = self._rows(code)
        index = self.log.frame_index[rows]
        place = np.searchsorted(index, media.frames)
        place[place == len(index)] = 0
        present = index[place] == media.frames if len(index) else np.zeros(len(place), np.bool_)
        row = place + rows.start
        kinds, names = self._box_roles(media)
        box_frame = np.searchsorted(media.frames, media.boxes.frame_index)
        usable = ~media.ignored[box_frame]
        target = (kinds == TARGET) & usable
        positive = np.zeros(len(media.frames), np.bool_)
        positive[box_frame[target]] = True
        planted = np.zeros(len(media.frames), np.bool_)
        planted[box_frame[target & media.boxes.planted]] = True
        label = np.where(media.ignored, IGNORED, np.where(positive, POSITIVE, NEGATIVE))
        self._label[row[present]] = label[present]
        self._fixed[row[present]] = True
        self._has_boxes[row[present]] = ~media.ignored[present]
        self._planted[row[present]] = planted[present]
        self._unread += int((positive & ~present).sum())
        self._add_intervals(code, media.frames[positive], planted[positive])
        keep = usable & (kinds >= 0) & present[box_frame]
        self._boxes.append(
            (
                row[box_frame[keep]],
                media.boxes.xyxy[keep] * self._scale(code, media),
                kinds[keep].tolist(),
                [names[number] for number in np.flatnonzero(keep)],
                media.boxes.planted[keep],
            )
        )

    def _box_roles(self, media: MediaTruth) -> tuple[Ints, list[str]]:
        """Kind (-1: dropped) and name of every box; crowds of other classes say nothing."""
        kinds, names = np.full(len(media.boxes), -1, np.int64), []
        for number, written in enumerate(media.boxes.label):
            role = self.roles[written]
            names.append(role[0] if role else "")
            if role is None:
                continue
            crowd = bool(media.boxes.ignore[number]) and role[1] == TARGET
            dropped = bool(media.boxes.ignore[number]) and role[1] == DECOY
            kinds[number] = IGNORE_REGION if crowd else -1 if dropped else role[1]
        return kinds, names

    def _scale(self, code: int, media: MediaTruth) -> Floats | float:
        rows = self._rows(code)
        if not media.normalised or not len(media.boxes) or rows.start == rows.stop:
            return 1.0  # nothing to place, or no frame to place it on
        width, height = int(self.log.width[code]), int(self.log.height[code])
        if min(width, height) < 1:
            raise TruthError(
                f"{media.source}: the run does not know the size of {self.log.path[code]}, so "
                "fractions of it cannot be placed; scan it again"
            )
        return np.array([width, height, width, height], np.float64)

    def _add_intervals(self, code: int, frames: Ints, planted: Bools) -> None:
        """Positive frames as instants; frames that were not processed get interpolated times."""
        rows = self._rows(code)
        if not len(frames) or self.log.still[code]:
            return
        if rows.start == rows.stop:  # nothing of the file was read: missed, at a time unknown
            self._intervals.append((code, 0.0, 0.0, bool(planted.all())))
            return
        timed = ~np.isnan(self.log.time_s[rows])
        if not timed.any():
            return
        times = _interpolate(
            frames, self.log.frame_index[rows][timed], self.log.time_s[rows][timed]
        )
        for time_s, is_planted in zip(times.tolist(), planted.tolist(), strict=True):
            self._intervals.append((code, time_s, time_s, is_planted))

    def finish(self, notes: list[str]) -> Labels:
        """Return the labels of all media."""
        for code, spans in self._spans.items():
            if spans:
                self._apply_spans(code, spans)
        if self.rules.unlabelled == "negative":
            fresh = self._label == UNLABELLED
            self._label[fresh] = NEGATIVE
        # A span of no targets counts at box level too: any box there is false.
        self._has_boxes |= self._label == NEGATIVE
        if self._unread:
            notes.append(f"{self._unread} labelled frames with a target were not processed")
        rows = sorted(self._intervals)
        return Labels(
            frame=self._label,
            has_boxes=self._has_boxes & self.log.ok,
            planted=self._planted,
            boxes=self._sorted_boxes(),
            intervals=Intervals(
                media=np.array([row[0] for row in rows], np.int64),
                start_s=np.array([row[1] for row in rows], np.float64),
                end_s=np.array([row[2] for row in rows], np.float64),
                planted=np.array([row[3] for row in rows], np.bool_),
            ),
            matched=self.matched,
            notes=(*notes, *self.notes),
        )

    def _sorted_boxes(self) -> TruthBoxes:
        frame = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in self._boxes)])
        xyxy = np.concatenate([np.zeros((0, 4)), *(part[1] for part in self._boxes)])
        planted = np.concatenate([np.zeros(0, np.bool_), *(part[4] for part in self._boxes)])
        kind = np.array([kind for part in self._boxes for kind in part[2]], np.int8)
        name = [name for part in self._boxes for name in part[3]]
        order = np.argsort(frame, kind="stable")
        order = order[self.log.ok[frame[order]]]
        return TruthBoxes(
            frame=frame[order].astype(np.int64),
            xyxy=xyxy[order],
            kind=kind[order],
            name=tuple(name[number] for number in order),
            planted=planted[order],
        )


def _interpolate(frames: Ints, index: Ints, time_s: Floats) -> Floats:
    """Times of frames by linear interpolation between processed ones, and beyond them."""
    times = np.interp(frames, index, time_s)
    if len(index) > 1 and index[-1] > index[0]:
        period_s = (time_s[-1] - time_s[0]) / (index[-1] - index[0])
        times = np.where(frames > index[-1], time_s[-1] + (frames - index[-1]) * period_s, times)
        times = np.where(frames < index[0], time_s[0] - (index[0] - frames) * period_s, times)
    return np.asarray(times, np.float64)
