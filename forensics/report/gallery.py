"""The pictures of a judged report: false alarms by place and look, other alarms, near things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forensics.evaluation.decisions import decisions_prepared
from forensics.evaluation.levels import CASCADE, DETECTOR
from forensics.evaluation.prepare import Prepared
from forensics.report import alike, cards
from forensics.report.choose import choose, rule
from forensics.report.evidence import Album, Progress, Want
from forensics.report.model import Card, CardGroup, CardList, Options, Part, Shot
from forensics.report.wording import count, score, threshold
from forensics.types import OperatingPoint

ALARM_ORDER = ("loose", "frame", "hit", "open", "ignored")
REMOVED_ORDER = ("lost", "frame", "loose", "false", "open", "ignored")
NEAR_LOOKED_AT = 2000  # boxes below the detector threshold among which near ones are sought
NEAR_SHARE = 5  # of the pictures of a list, one in so many for each kind of near box
Shots = Mapping[Want, Shot]


@dataclass(frozen=True, slots=True)
class Gallery:
    """The sections with pictures; `removed` is None without a classifier."""

    alarms: CardList
    removed: CardList | None
    almost: CardList
    not_kept: str


def gallery(
    prepared: Prepared,
    point: OperatingPoint,
    options: Options,
    progress: Progress | None = None,
) -> Gallery:
    """Choose and fetch all pictures of a run that is joined to truth."""
    arm = DETECTOR if point.classifier is None else CASCADE
    low = OperatingPoint(_lowered(prepared, point), point.classifier)
    table = cards.with_kinds(decisions_prepared(prepared, low), prepared.run)
    above = table[table["detector_score"] >= np.float32(point.detector)]
    alarms = cards.sort_out(above, removed=False, arm=arm, truth=True)
    false, others = (alarms[alarms["kind"].eq("false") == wanted] for wanted in (True, False))
    false, spots = _alike(prepared, false)
    shown = choose(
        false, score="detector_score", groups=("place",),
        limit=options.max_pictures, seed=options.seed,
    )  # fmt: skip
    rest = cards.pick(others, removed=False, truth=True, options=options)
    removed = None
    if point.classifier is not None:
        taken = cards.sort_out(above, removed=True, arm=arm, truth=True)
        removed = cards.pick(taken, removed=True, truth=True, options=options)
    near = _near(table, point, arm, options)
    album = Album(prepared.run)
    tables = [shown, rest.table, *([] if removed is None else [removed.table]), *near]
    shots = album.shots([w for chosen in tables for w in cards.wants_of(chosen)], progress)
    first = _false_alarms(false, shown, spots, shots, arm)
    return Gallery(
        alarms=_with_false(first, len(shown), cards.card_list(rest, shots, ALARM_ORDER), options),
        removed=None if removed is None else cards.card_list(removed, shots, REMOVED_ORDER),
        almost=_almost(near, shots, point),
        not_kept=album.not_kept,
    )


def _lowered(prepared: Prepared, point: OperatingPoint) -> float:
    """A detector threshold that lets in a few boxes more, for the near ones among them."""
    thresholds = prepared.run.manifest["thresholds"]
    least = np.float32(thresholds["floor"])
    if point.classifier is not None:
        least = max(least, np.float32(thresholds.get("gate") or 0))
    scores = prepared.log.score
    below = scores[(scores >= least) & (scores < np.float32(point.detector))]
    if len(below) > NEAR_LOOKED_AT:
        return float(np.partition(below, len(below) - NEAR_LOOKED_AT)[-NEAR_LOOKED_AT])
    return float(below.min(initial=np.float32(point.detector)))


def _alike(prepared: Prepared, false: pd.DataFrame) -> tuple[pd.DataFrame, tuple[alike.Ints, ...]]:
    place, spots = alike.places(false)
    return false.assign(place=place, look=alike.looks(prepared.run, false)), spots


def _false_alarms(
    false: pd.DataFrame,
    shown: pd.DataFrame,
    spots: Sequence[alike.Ints],
    shots: Shots,
    arm: str,
) -> CardGroup:
    """False alarms by place, the most confident first; and how many there are of each look."""
    sure = shown["detector_score" if arm == DETECTOR else "target_score"]
    ordered = shown.assign(sure=sure).sort_values("sure", ascending=False, kind="stable")
    made: dict[int, list[Card]] = {}
    for row in ordered.to_dict("records"):
        made.setdefault(int(row["place"]), []).append(cards.make_card(row, shots))
    parts = []
    for number in sorted(made.keys() - {alike.NO_PLACE}):
        title, remark = alike.describe(false, spots[number])
        parts.append(Part(title, len(spots[number]), remark, tuple(made[number])))
    if alone := made.get(alike.NO_PLACE):
        remark = "places where nothing else raised a false alarm"
        total = int((false["place"] == alike.NO_PLACE).sum())
        parts.append(Part("Each at a place of its own", total, remark, tuple(alone)))
    looks = false["look"].value_counts(sort=False).sort_index()
    looks = looks.sort_values(ascending=False, kind="stable")
    kinds = tuple(Part(str(name), int(n), "", ()) for name, n in looks.items())
    return CardGroup("False alarms", "false", len(false), parts=tuple(parts), looks=kinds)


def _with_false(group: CardGroup, shown: int, rest: CardList, options: Options) -> CardList:
    """One section: the false alarms, then what else alarmed."""
    said = rule(
        group.total, options.max_pictures, options.seed,
        score="detector score", groups="every place",
    )  # fmt: skip
    both = f"False alarms: {said} Other alarms: {rest.rule}" if group.total and rest.total else ""
    return replace(
        rest,
        total=group.total + rest.total,
        shown=shown + rest.shown,
        rule=both or (said if group.total else rest.rule),
        groups=((group,) if group.parts else ()) + rest.groups,
    )


def _near(
    table: pd.DataFrame, point: OperatingPoint, arm: str, options: Options
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """True boxes that the thresholds only just reject, and false ones that they only just pass."""
    passed = table["detector_score"] >= np.float32(point.detector)
    distance = _logit(table["detector_score"]) - _logit(point.detector)
    if point.classifier is not None:
        passed &= table["target_score"] >= np.float32(point.classifier)
        other = _logit(table["target_score"]) - _logit(point.classifier)
        distance = np.minimum(distance, other)  # NaN where there is no classifier score
    table = table.assign(margin=distance).dropna(subset="margin")
    passed = passed.loc[table.index]
    missed = table[~passed & table["outcome_detector"].eq("tp")].assign(kind="near")
    false = cards.sort_out(table[passed], removed=False, arm=arm, truth=True)
    false = false[false["kind"] == "false"]
    limit = -(-options.max_pictures // NEAR_SHARE)
    return (
        missed.sort_values("margin", ascending=False, kind="stable").head(limit),
        false.sort_values("margin", kind="stable").head(limit),
    )


def _logit(value: float | pd.Series) -> pd.Series:
    inside = np.clip(np.asarray(value, np.float64), 1e-7, 1 - 1e-7)
    found: pd.Series = np.log(inside / (1 - inside))
    return found


def _almost(near: Sequence[pd.DataFrame], shots: Shots, point: OperatingPoint) -> CardList:
    titles = ("True boxes that were just missed", "False alarms that just passed")
    groups = []
    for title, table in zip(titles, near, strict=True):
        made = tuple(
            cards.make_card(row, shots, _margin(row, point)) for row in table.to_dict("records")
        )
        if made:
            groups.append(CardGroup(title, table["kind"].iloc[0], len(made), made))
    shown = sum(group.total for group in groups)
    said = (
        f"The nearest {count(shown)}: by the distance of the logits to the threshold that decides."
    )
    return CardList(shown, shown, said, tuple(groups))


def _margin(row: Mapping[str, object], point: OperatingPoint) -> str:
    """Both scores beside their thresholds."""
    said = f"detector {score(float(str(row['detector_score'])))} at {threshold(point.detector)}"
    if point.classifier is None:
        return said
    own = score(float(str(row["target_score"])))
    return f"{said}, classifier {own} at {threshold(point.classifier)}"
