"""Evaluation of a run from its log alone: any thresholds, three levels, with intervals."""

from forensics.evaluation.curves import curves
from forensics.evaluation.decisions import decisions
from forensics.evaluation.evaluate import evaluate, evaluate_prepared
from forensics.evaluation.incidents import incidents
from forensics.evaluation.prepare import Prepared, prepare
from forensics.evaluation.result import Evaluation
from forensics.evaluation.rules import Rules

__all__ = [
    "Evaluation",
    "Prepared",
    "Rules",
    "curves",
    "decisions",
    "evaluate",
    "evaluate_prepared",
    "incidents",
    "prepare",
]
