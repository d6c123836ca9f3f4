"""Numbers, times and names as people read them. Undefined is an en dash, never a zero."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from markupsafe import Markup

from forensics.evaluation.grid import typed

UNDEFINED = "\u2013"
NBSP = "\u00a0"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(value: Any) -> Any:
    """Show control and bidirectional characters of a text as escapes; leave other values alone.

    Every value that a template prints goes through this, so that no name can reorder a line.
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _HIDDEN else c
        for c in value
    )


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return UNDEFINED if value is None or math.isnan(value) else f"{value:,.0f}"


def plural(value: int, one: str, many: str = "") -> str:
    """`1 file`, `2 files`."""
    return f"{value:,}{NBSP}{one if value == 1 else many or one + 's'}"


def percent(share: float | None) -> str:
    """A share as a percentage that never rounds to none or all."""
    if share is None or math.isnan(share):
        return UNDEFINED
    value = 100 * share
    if 0 < value < 0.1:
        return f"{value:.2g}{NBSP}%"
    if 99.9 < value < 100:
        return f"{math.floor(value * 100) / 100:.2f}{NBSP}%"
    return f"{value:.1f}{NBSP}%"


def number(value: float | None) -> str:
    """A rate or another real number: whole from 100 on, else three figures."""
    if value is None or math.isnan(value):
        return UNDEFINED
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def score(value: float | None) -> str:
    """A score or threshold."""
    return UNDEFINED if value is None or math.isnan(value) else f"{value:.3f}"


def threshold(value: float | None) -> str:
    """A threshold such that, typed as written, it counts the same; off where there is none."""
    return typed(value)


def time_code(time_s: float | None) -> str:
    """`HH:MM:SS.mmm` on the file's own clock; rounded to the millisecond."""
    if time_s is None or math.isnan(time_s):
        return UNDEFINED
    sign, milliseconds = ("-", -time_s * 1000) if time_s < 0 else ("", time_s * 1000)
    seconds, rest = divmod(round(milliseconds), 1000)
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def moment(stamp: str | None) -> str:
    """A time of day in UTC, `2026-01-31 12:00:00 UTC`; what is no such stamp stays as it is."""
    if not stamp:
        return "not known"
    return f"{stamp[:-1].replace('T', ' ')} UTC" if stamp.endswith("Z") else stamp


def hours(seconds: float | None) -> str:
    """A length of footage in the unit that suits it."""
    if seconds is None or math.isnan(seconds):
        return UNDEFINED
    if seconds < 120:
        return f"{seconds:.1f}{NBSP}s"
    if seconds < 7200:
        return f"{seconds / 60:.1f}{NBSP}min"
    return f"{seconds / 3600:,.1f}{NBSP}h"


def size(n_bytes: int | None) -> str:
    """A file size."""
    if n_bytes is None:
        return UNDEFINED
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f}{NBSP}{unit}" if unit == "B" else f"{value:.1f}{NBSP}{unit}"
        value /= 1000
    return f"{value:.1f}{NBSP}TB"


def sentence(text: str) -> str:
    """A note as a sentence of its own."""
    text = text.strip()
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    return ended[:1].upper() + ended[1:]
