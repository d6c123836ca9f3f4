"""The command that gives a figure of the page again, as it can be typed."""

from __future__ import annotations

import shlex

import numpy as np

from forensics.evaluation.prepare import Prepared
from forensics.evaluation.rules import run_rules


def command(prepared: Prepared, truth_format: str | None = None) -> str:
    """`forensics evaluate` with every rule that is not the run's own; thresholds come after it."""
    given, plain = prepared.rules, run_rules(prepared.run)
    words = ["forensics", "evaluate", "RUN", "--truth", "TRUTH"]
    if truth_format:
        words += ["--truth-format", truth_format]
    for old, new in given.class_map.items():
        words += ["--class-map", f"{old}={new}"]
    if given.unlabelled != plain.unlabelled:
        words += ["--unlabelled", given.unlabelled]
    for option, mine, own in (
        ("--iou", given.iou, plain.iou),
        ("--gap", given.gap_s, plain.gap_s),
        ("--collar", given.collar_s, plain.collar_s),
    ):
        if mine != own:
            words += [option, np.format_float_positional(mine, trim="-")]
    confirm = given.confirm_hits, given.confirm_frames
    if confirm != (plain.confirm_hits, plain.confirm_frames):
        words += ["--confirm", f"{confirm[0]}/{confirm[1]}"]
    return shlex.join(words)
