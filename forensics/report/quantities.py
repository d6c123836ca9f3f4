"""Figures as printed, and the footnotes that say how each was made or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forensics.report.model import Quantity
from forensics.report.wording import NBSP, UNDEFINED, count, number, percent, sentence

Figures = Mapping[str, Any]


class Footnotes:
    """Numbers remarks in the order in which they first occur."""

    def __init__(self) -> None:
        self._texts: dict[str, int] = {}

    def add(self, text: str) -> int:
        return self._texts.setdefault(sentence(text), len(self._texts) + 1)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self._texts)


class Quantities:
    """Turns the JSON of an evaluation into printed figures; keeps the footnotes."""

    def __init__(self, notes: Footnotes) -> None:
        self._notes = notes

    def undefined(self, why: str) -> Quantity:
        why = sentence(why.removeprefix("undefined: "))
        return Quantity(UNDEFINED, note=self._notes.add(why), why=why)

    def tally(self, value: int | None, why: str) -> Quantity:
        return self.undefined(why) if value is None else Quantity(count(value))

    def share(self, value: float | None, interval: Figures | None, why: str) -> Quantity:
        """A proportion with its limits."""
        if value is None:
            return self.undefined(why)
        if interval is None or interval["value"] is None:
            return Quantity(percent(value))
        limits = f"{percent(interval['low'])} to {percent(interval['high'])}"
        return Quantity(percent(value), limits, self._notes.add(interval["method"]))

    def rate(self, interval: Figures, *, most: float | None = None) -> Quantity:
        """A rate with its limits; `most` is the highest value that makes sense."""
        if interval["value"] is None:
            return self.undefined(interval["method"])
        high, method = interval["high"], interval["method"]
        if most is not None and high is not None and high > most:
            high, method = most, f"{method}; the upper limit is cut at all frames"
        limits = f"{number(interval['low'])} to {number(high)}"
        if interval["value"] == 0:
            limits = f"at most {number(high)}"
        return Quantity(number(interval["value"]), limits, self._notes.add(method))

    def plain(self, value: float | None, why: str) -> Quantity:
        return self.undefined(why) if value is None else Quantity(number(value))

    def seconds(self, value: float | None, why: str) -> Quantity:
        return self.undefined(why) if value is None else Quantity(f"{value:,.3f}{NBSP}s")
