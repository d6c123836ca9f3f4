"""Write the bundled cascade's card again, with what was measured of it.

    python datasets/handgun/card.py CASCADE --detector new.json --baseline base.json \
        --int8 int8.json --confusion confusion.json --comparison held-out.json \
        --gun-footage gun-footage.json --failures failures.md

The JSON files are those of `measure.py`, `confusion.py` and `evaluate --format json`; nothing is
typed in by hand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from forensics.cascade.definition import load_cascade
from forensics.training.cascade_files import read_card_facts, write_card
from forensics.training.export import PARITY_FILE

HERE = Path(__file__).parent


def detector_figures(new: dict[str, Any], old: dict[str, Any]) -> dict[str, str]:
    """AP50, the three thresholds, and recall by gun height, each beside the baseline's."""
    rows = {}
    for name, found in new.items():
        before = old.get(name)
        rows[f"{name}: AP50 ({found['guns']} guns on {found['pictures']} pictures)"] = _beside(
            f"{found['ap50']:.3f}", before and f"{before['ap50']:.3f}"
        )
        for place, at in enumerate(found["at_threshold"]):
            rows[f"{name}: found, false boxes, precision at {at['threshold']}"] = _beside(
                _at(at), before and _at(before["at_threshold"][place])
            )
        for place, at in enumerate(found["at_false_boxes"]):
            named = f"{name}: found by height (px at 640) at {at['false_boxes']} false boxes"
            rows[named] = _beside(
                _bands(at, found), before and _bands(before["at_false_boxes"][place], before)
            )
    return rows


def _beside(new: str, old: str | None) -> str:
    return new if old is None else f"{new} (0.1.0: {old})"


def _at(at: dict[str, Any]) -> str:
    total = at["found"] + at["false_boxes"]
    precision = f"{at['found'] / total:.2f}" if total else "undefined"
    return f"{at['found']}, {at['false_boxes']}, {precision}"


def _bands(at: dict[str, Any], found: dict[str, Any]) -> str:
    parts = [
        f"{name}: {n}/{found['guns_by_height_px'][name]}"
        for name, n in at["by_height_px"].items()
        if found["guns_by_height_px"][name]
    ]
    return "; ".join(parts)


def comparison_figures(result: dict[str, Any], what: str) -> dict[str, str]:
    """Detector alone against cascade on footage that was held out, and at matched recall."""
    rows = {}
    for arm, counts in result["arms"].items():
        frame = counts["frame"]
        rate = frame["false_alarms_per_million"]
        rows[f"{what}, {arm} at the operating point: frames tp, fp, fn, tn"] = ", ".join(
            str(frame[key]) for key in ("tp", "fp", "fn", "tn")
        )
        rows[f"{what}, {arm}: false alarms per million frames"] = _interval(rate)
    matched = result["matched_recall"]
    if matched.get("undefined"):
        rows[f"{what}, at matched recall"] = matched["undefined"]
        return rows
    for name in ("detector", "cascade"):
        found = matched[name]
        rows[f"{what}, at matched {matched['level']} recall: {name}"] = (
            f"recall {found['frame_recall']:.3f}, {found['false_alarm_frames']} false-alarm frames"
        )
    rows[f"{what}, at matched recall: false-alarm frames, cascade to detector alone"] = _interval(
        matched["false_alarm_ratio_interval"]
    )
    return rows


def _interval(rate: dict[str, Any]) -> str:
    def shown(value: float | None) -> str:
        return "undefined" if value is None else f"{value:,.4g}"

    return f"{shown(rate['value'])} [{shown(rate['low'])}, {shown(rate['high'])}]"


def confusion_figures(found: dict[str, Any]) -> dict[str, str]:
    """What the classifier calls detections on held-out footage, a row for guns and for the rest."""
    above = found["detector_threshold"]
    return {
        f"held out, detections from {above:g} on {name}: called": ", ".join(
            f"{label} {n}" for label, n in row.items()
        )
        for name, row in found["rows"].items()
    }


def main() -> None:
    """Gather, and write card.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cascade")
    names = ("detector", "baseline", "int8", "confusion", "comparison", "gun-footage", "failures")
    for name in names:
        parser.add_argument(f"--{name}", type=Path)
    given = parser.parse_args()
    read = {
        name: {} if path is None else json.loads(path.read_bytes())
        for name, path in vars(given).items()
        if name not in {"cascade", "failures"}
    }
    cascade = load_cascade(given.cascade)
    facts = read_card_facts(HERE / "sources.toml", None, given.failures)
    figures = facts.figures | detector_figures(read["detector"], read["baseline"])
    int8 = detector_figures(read["int8"], {})
    figures |= {f"INT8, {name}": value for name, value in int8.items()}
    if read["comparison"]:
        figures |= comparison_figures(read["comparison"], "held out")
    if read["confusion"]:
        figures |= confusion_figures(read["confusion"])
    if read["gun_footage"]:
        figures |= comparison_figures(read["gun_footage"], "footage with a gun")
    parity = json.loads((cascade.folder / PARITY_FILE).read_bytes())
    card = type(facts)(facts.sources, facts.settings, figures, facts.failures)
    write_card(cascade, card, parity["precisions"], parity)


if __name__ == "__main__":
    main()
