"""Readers and writers of labels: what is known to be in the footage."""

from forensics.truth.base import Boxes, MediaTruth, Problem, Span, Truth
from forensics.truth.load import FORMATS, load_truth
from forensics.truth.write import WRITERS

__all__ = [
    "FORMATS",
    "WRITERS",
    "Boxes",
    "MediaTruth",
    "Problem",
    "Span",
    "Truth",
    "load_truth",
]
