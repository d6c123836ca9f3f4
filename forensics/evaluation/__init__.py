"""Evaluation of a run from its log alone: any thresholds, three levels, with intervals."""

from forensics.evaluation.choose import Goal, Terms, choose_thresholds
from forensics.evaluation.curves import curves
from forensics.evaluation.decisions import decisions
from forensics.evaluation.evaluate import evaluate, evaluate_prepared
from forensics.evaluation.incidents import incidents
from forensics.evaluation.prepare import Prepared, prepare
from forensics.evaluation.result import Evaluation
from forensics.evaluation.rules import Rules
from forensics.evaluation.side_by_side import compare_arms, compare_runs

__all__ = [
    "Evaluation",
    "Goal",
    "Prepared",
    "Rules",
    "Terms",
    "choose_thresholds",
    "compare_arms",
    "compare_runs",
    "curves",
    "decisions",
    "evaluate",
    "evaluate_prepared",
    "incidents",
    "prepare",
]
