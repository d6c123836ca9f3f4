"""Collect the values that the page prints, from a run with or without truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import forensics
from forensics.evaluation.curves import curves
from forensics.evaluation.decisions import decisions_prepared
from forensics.evaluation.evaluate import evaluate_prepared
from forensics.evaluation.incidents import incidents
from forensics.evaluation.levels import CASCADE, DETECTOR, count_arm
from forensics.evaluation.prepare import Prepared, prepare
from forensics.evaluation.rules import Rules
from forensics.report import cards, provenance, timeline, wording
from forensics.report.choose import choose, rule
from forensics.report.clock import clocks
from forensics.report.comparison import comparison
from forensics.report.comparison import removed as removed_rows
from forensics.report.evidence import Album, Progress
from forensics.report.examined import examine
from forensics.report.explorer import explore
from forensics.report.figures import plots
from forensics.report.gallery import gallery
from forensics.report.model import CardGroup, CardList, Options
from forensics.report.planted import Planted, count_planted
from forensics.report.quantities import Footnotes
from forensics.report.scripts import Scripts, report_scripts
from forensics.report.verdict import judge, report_without_truth
from forensics.runlog.reader import RunTables
from forensics.truth.base import Truth
from forensics.types import OperatingPoint


@dataclass(frozen=True, slots=True)
class TruthInput:
    """Labels, the hashes of the files they came from, and their format where it was given."""

    labels: Truth
    files: tuple[provenance.Item, ...] = ()
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Composer:
    """Makes the values that the template prints."""

    run: RunTables
    point: OperatingPoint
    options: Options
    progress: Progress | None

    @property
    def arm(self) -> str:
        return DETECTOR if self.point.classifier is None else CASCADE

    def with_truth(self, truth: TruthInput, rules: Rules) -> dict[str, Any]:
        prepared = prepare(self.run, truth.labels, rules)
        result = evaluate_prepared(prepared, self.point).to_json()
        planted = count_planted(prepared)
        examined, notes = examine(self.run), Footnotes()
        verdict = judge(result, planted, examined, notes)
        shown = gallery(prepared, self.point, self.options, self.progress)
        return self._common(truth.files, result["rules"]) | {
            "verdict": verdict,
            "examined": examined,
            "explorer": explore(prepared, self.point, planted, truth.format),
            "scripts": report_scripts(),
            "levels": comparison(result["arms"], planted, notes),
            "taken": removed_rows(result, planted, notes) if result["removal"] else (),
            "result": result,
            "frame_word": planted.word("frame"),
            "event_word": planted.word("event"),
            "footnotes": notes.texts,
            "plots": self._plots(prepared, planted),
            "alarms": shown.alarms,
            "removed": shown.removed,
            "almost": shown.almost,
            "incidents": None,
            "timelines": self._judged_timelines(prepared),
            "not_kept": shown.not_kept,
        }

    def without_truth(self, rules: Rules) -> dict[str, Any]:
        prepared = prepare(self.run, None, rules)
        table = cards.with_kinds(decisions_prepared(prepared, self.point), self.run).assign(
            planted=False, on_decoy=False
        )
        found = incidents(self.run, self.point, rules, self.arm)
        picked = None
        if self.point.classifier is not None:
            removed = cards.sort_out(table, removed=True, arm=self.arm, truth=False)
            picked = cards.pick(removed, removed=True, truth=False, options=self.options)
        shown = choose(
            found, score="best_score", groups=("path",),
            limit=self.options.max_pictures, seed=self.options.seed,
        )  # fmt: skip
        best = table.set_index("row", drop=False).loc[shown["best_row"].to_numpy()]
        album = Album(self.run)
        wants = cards.wants_of(best) + (cards.wants_of(picked.table) if picked else [])
        shots = album.shots(wants, self.progress)
        examined = examine(self.run)
        n_removed = sum(picked.totals.values()) if picked else 0
        n_files = found["path"].nunique()
        return self._common((), rules.to_json()) | {
            "verdict": report_without_truth(len(found), n_files, n_removed, examined),
            "examined": examined,
            "scripts": Scripts(),
            "levels": (),
            "taken": (),
            "result": None,
            "footnotes": (),
            "plots": (),
            "alarms": None,
            "removed": cards.card_list(picked, shots, ("alarm",)) if picked else None,
            "incidents": self._incident_cards(found, shown, best, shots),
            "timelines": self._open_timelines(rules, found),
            "not_kept": album.not_kept,
        }

    def _common(
        self, truth_files: Sequence[provenance.Item], rules: Mapping[str, Any]
    ) -> dict[str, Any]:
        created = self.options.created_utc
        return {
            "product": f"forensics {forensics.__version__}",
            "manifest": self.run.manifest,
            "detector_threshold": wording.threshold(self.point.detector),
            "classifier_threshold": wording.threshold(self.point.classifier),
            "has_cascade": self.point.classifier is not None,
            "frame_word": "",
            "event_word": "",
            "folder": self.run.folder.name,
            "scanned": wording.moment(self.run.manifest.get("started_utc")),
            "created_utc": created,
            "provenance": provenance.provenance(self.run, self.point, truth_files, rules, created),
        }

    def _plots(self, prepared: Prepared, planted: Planted) -> Any:
        words = {level: planted.word(level) for level in ("box", "frame", "event")}
        negative = int(prepared.ledger.negative.sum())
        return plots(curves(prepared, self.point), self.point, words, 1e6 / max(negative, 1))

    def _incident_cards(
        self, found: pd.DataFrame, shown: pd.DataFrame, best: pd.DataFrame, shots: Any
    ) -> CardList:
        rows = zip(shown.to_dict("records"), best.to_dict("records"), strict=True)
        made = [
            cards.make_card({**detection, "kind": "alarm"}, shots, _span(incident))
            for incident, detection in rows
        ]
        said = rule(
            len(found), self.options.max_pictures, self.options.seed,
            score="detector score", groups="every file",
        )  # fmt: skip
        return CardList(
            len(found), len(shown), said, (CardGroup("", "alarm", len(found), tuple(made)),)
        )

    def _judged_timelines(self, prepared: Prepared) -> Any:
        bars = [timeline.truth_bars(prepared)]
        for arm in (DETECTOR, CASCADE) if self.point.classifier is not None else (DETECTOR,):
            counted = count_arm(prepared, self.point, arm)
            bars.append(timeline.alert_bars(prepared, counted, arm))
        return self._timelines(bars, "truth")

    def _open_timelines(self, rules: Rules, found: pd.DataFrame) -> Any:
        bars = [timeline.incident_bars(found, self.arm)]
        if self.arm != DETECTOR:
            alone = incidents(self.run, self.point, rules, DETECTOR)
            bars.insert(0, timeline.incident_bars(alone, DETECTOR))
        return self._timelines(bars, self.arm)

    def _timelines(self, bars: Sequence[pd.DataFrame], first: str) -> Any:
        filled = [table for table in bars if len(table)]
        joined = pd.concat(filled, ignore_index=True) if filled else bars[0]
        return timeline.timelines(self.run.media.to_pylist(), _ends(self.run), joined, first)


def _ends(run: RunTables) -> dict[str, tuple[float, float]]:
    """First and last time of every media's frames."""
    return {name: (clock.first_s, clock.last_s) for name, clock in clocks(run).items()}


def _span(incident: Mapping[Any, Any]) -> str:
    """When an incident was, and how much of it alarmed."""
    frames = wording.plural(int(incident["frames"]), "alarm frame")
    if np.isnan(incident["start_s"]):
        return frames
    start, end = (wording.time_code(incident[name]) for name in ("start_s", "end_s"))
    return f"{start} to {end}, {frames}" if start != end else f"{start}, {frames}"
