"""Detections as cards: which are shown, what truth says of each, and their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forensics.report.choose import choose, rule
from forensics.report.evidence import Want
from forensics.report.model import Card, CardGroup, CardList, Options, Shot
from forensics.report.wording import NBSP, UNDEFINED, score, time_code
from forensics.runlog.reader import RunTables

# kind -> (heading among the alarms, heading among those that the classifier removed)
HEADINGS = {
    "lost": ("", "True hits lost"),
    "frame": ("Frame has a target, box not judged", "Frame has a target, box not judged"),
    "false": ("False alarms", "False alarms removed"),
    "loose": (
        "Off the target of their frame",
        "Off the target of their frame",
    ),
    "hit": ("True hits", ""),
    "open": ("Not labelled", "Not labelled"),
    "ignored": ("Ignored, as the truth says", "Ignored, as the truth says"),
    "alarm": ("Alarms", "Set aside"),
}
_XYXY = ("x_min", "y_min", "x_max", "y_max")


@dataclass(frozen=True, slots=True)
class Picked:
    """The rows of a section that get a card, and those that there are."""

    table: pd.DataFrame
    totals: Mapping[str, int]
    rule: str
    removed: bool


def with_kinds(decisions: pd.DataFrame, run: RunTables) -> pd.DataFrame:
    """Add path, camera and box to decisions."""
    media = run.media.select(["media_id", "path", "camera_id"]).to_pandas()
    media = media.dropna(subset="media_id").drop_duplicates("media_id").set_index("media_id")
    ids = decisions["media_id"].astype(object)
    boxes = run.detections.select(_XYXY).take(decisions["row"].to_numpy()).to_pandas()
    path = ids.map(media["path"])
    return decisions.assign(
        media_id=ids,
        path=path,
        camera=ids.map(media["camera_id"]).fillna(path),
        **{name: boxes[name].to_numpy() for name in _XYXY},
    )


def sort_out(decisions: pd.DataFrame, *, removed: bool, arm: str, truth: bool) -> pd.DataFrame:
    """The rows of one section and their `kind`: alarms of `arm`, or what the classifier removed."""
    if removed:
        table = decisions[decisions["alarm_detector"] & ~decisions["alarm_cascade"]]
        outcome = "outcome_detector"
    else:
        table = decisions[decisions[f"alarm_{arm}"]]
        outcome = f"outcome_{arm}"
    if truth:
        kinds = [
            _kind(word, label, removed=removed)
            for word, label in zip(table[outcome], table["frame_label"], strict=True)
        ]
    else:
        kinds = ["alarm"] * len(table)
    return table.assign(kind=kinds)


def pick(table: pd.DataFrame, *, removed: bool, truth: bool, options: Options) -> Picked:
    """Choose the cards of one section."""
    limit = options.max_pictures
    shown = choose(
        table, score="detector_score", groups=("path", "kind"), limit=limit, seed=options.seed
    )
    said = rule(
        len(table), limit, options.seed,
        score="detector score", groups="every file and outcome" if truth else "every file",
    )  # fmt: skip
    return Picked(shown, table["kind"].value_counts().to_dict(), said, removed)


def _kind(outcome: Any, frame_label: Any, *, removed: bool) -> str:
    if outcome == "tp":
        return "lost" if removed else "hit"
    if outcome == "fp":
        return "loose" if frame_label == "positive" else "false"
    if outcome == "ignored":
        return "ignored"
    return {"positive": "frame", "negative": "false"}.get(frame_label, "open")


def wants_of(table: pd.DataFrame) -> list[Want]:
    """What to fetch for the rows of a table that has boxes."""
    return [_want(row) for row in table.to_dict("records")]


def _want(row: Mapping[Any, Any]) -> Want:
    x0, y0, x1, y1 = (float(row[name]) for name in _XYXY)
    return Want(str(row["media_id"]), int(row["frame_index"]), (x0, y0, x1, y1))


def card_list(picked: Picked, shots: Mapping[Want, Shot], order: Sequence[str]) -> CardList:
    """The cards of a section, grouped by kind in the given order, best detector score first."""
    groups = []
    for kind in order:
        rows = picked.table[picked.table["kind"] == kind]
        rows = rows.sort_values("detector_score", ascending=False, kind="stable")
        if len(rows):
            title = HEADINGS[kind][1 if picked.removed else 0]
            cards = tuple(make_card(row, shots) for row in rows.to_dict("records"))
            groups.append(CardGroup(title, kind, picked.totals[kind], cards))
    total = sum(picked.totals.values())
    return CardList(total, len(picked.table), picked.rule, tuple(groups))


def make_card(row: Mapping[Any, Any], shots: Mapping[Want, Shot], span: str = "") -> Card:
    """One detection as a card."""
    want = _want(row)
    width, height = want.xyxy[2] - want.xyxy[0], want.xyxy[3] - want.xyxy[1]
    target = row["target_score"]
    return Card(
        path=row["path"],
        camera=row["camera"],
        time="no clock" if pd.isna(row["time_s"]) else time_code(row["time_s"]),
        frame_index=want.frame_index,
        kind=row["kind"],
        outcome=_outcome(row),
        detector_score=score(row["detector_score"]),
        target_score=UNDEFINED if pd.isna(target) else score(target),
        classifier=_classifier(row),
        look=str(row.get("look", "")),
        sure=float(row.get("sure", 0.0)),
        box=f"{width:.0f} x {height:.0f}{NBSP}px",
        suspect=bool(row["suspect"]),
        shot=shots.get(want, Shot(problem="No picture was fetched.")),
        span=span,
    )


def _outcome(row: Mapping[Any, Any]) -> str:
    planted = " (planted)" if row["planted"] else ""
    if row["kind"] == "loose":
        return "frame has a target, but this box does not fit it: false as a box"
    decoy = f": it lies on a {row['truth_class']}" if row["on_decoy"] else ""
    return {
        "hit": f"true hit{planted}",
        "lost": f"true hit lost{planted}",
        "false": f"false alarm{decoy}{planted if decoy else ''}",
        "frame": f"frame has a target{planted}; this box is not judged",
        "near": f"true hit just missed{planted}",
        "ignored": "ignored",
        "open": "not labelled",
    }.get(row["kind"], "")


def _classifier(row: Mapping[Any, Any]) -> str:
    """What the classifier said, or why it said nothing."""
    name, value = row["classifier_class"], row["classifier_score"]
    if isinstance(name, str) and not pd.isna(value):
        return f"{name} {value:.3f}"
    return {
        "gate": "not asked: below the gate",
        "error": "failed on this crop",
        "detector": "no classifier",
    }.get(str(row["decided_by"]), "not asked")
