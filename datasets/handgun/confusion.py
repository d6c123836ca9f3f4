"""What the classifier calls the detections of a held-out run, by what truth says of them.

    python datasets/handgun/confusion.py RUN --truth LABELS --class-map 1=gun --out confusion.json

Rows: detections at or above the operating point's detector threshold that take a target box at
IoU 0.5 (true), and those that take none (false). Columns: the classifier's likeliest class.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from forensics import open_run


def main() -> None:
    """Judge, count, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--truth", type=Path, action="append", required=True)
    parser.add_argument("--class-map", action="append", default=[])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    study = open_run(given.run).against(
        *given.truth, class_map=dict(pair.split("=", 1) for pair in given.class_map)
    )
    found = study.decisions()
    found = found[found.outcome_detector.isin(["tp", "fp"])]
    table = pd.crosstab(found.outcome_detector, found.classifier_class)
    rows = {
        name: {str(label): int(n) for label, n in table.loc[outcome].items()}
        for name, outcome in (("a gun", "tp"), ("no gun", "fp"))
        if outcome in table.index
    }
    point = study.run.tables.operating_point
    result = {"detector_threshold": point.detector, "rows": rows}
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
