"""Numbers and intervals for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

ALL_BUT = 0.9999  # the greatest share of four digits that is not all


def number(value: float | None) -> str:
    """A number for people: `n/a` when it is not defined; a share never rounds to none or all."""
    if value is None:
        return "n/a"
    if isinstance(value, int):
        return f"{value:,}"
    if ALL_BUT < abs(value) < 1:
        value = math.copysign(ALL_BUT, value)
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def interval(figures: Mapping[str, Any] | None) -> str:
    """A figure with its limits in brackets."""
    if figures is None or figures["value"] is None:
        return "n/a"
    return f"{number(figures['value'])} [{number(figures['low'])}, {number(figures['high'])}]"
