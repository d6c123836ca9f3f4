"""Spans of time as CSV or JSON: `file,start_s,end_s,class`, class may be `none` or `ignore`.

JSON is a list of such objects, or an object with that list under `spans`. An empty `end_s` means
until the end of the file. An optional `planted` column marks objects put in by a computer.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from forensics.errors import TruthError
from forensics.truth.base import MediaBuilder, Span, Truth, clean_name, read_text
from forensics.truth.values import read_json, short

COLUMNS = ("file", "start_s", "end_s", "class")
_TRUE = frozenset({"1", "true", "yes"})
_FALSE = frozenset({"", "0", "false", "no", "none"})


def read_spans(path: Path, shown: str, *, document: Any = None) -> Truth:
    """Read a span file; `shown` is the path as messages name it."""
    if path.suffix.lower() == ".json":
        data = read_json(path, shown) if document is None else document
        rows = _json_rows(data, shown)
    else:
        rows = _csv_rows(read_text(path, shown), shown)
    builders: dict[str, MediaBuilder] = {}
    labels: dict[str, None] = {}
    for where, row in rows:
        name, span = _span(row, where)
        builder = builders.setdefault(name, MediaBuilder(name, shown))
        builder.add_span(span)
        labels[span.label] = None
    media = tuple(builder.build() for builder in builders.values())
    return Truth(media=media, classes=tuple(labels), sources=(shown,))


def _csv_rows(text: str, shown: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = reader.fieldnames or ()
        missing = [name for name in COLUMNS if name not in columns]
        if missing:
            raise TruthError(
                f"{shown}:1: no column {', '.join(missing)}; the first line must be "
                f"{','.join(COLUMNS)}"
            )
        twice = [name for name in (*COLUMNS, "planted") if list(columns).count(name) > 1]
        if twice:
            raise TruthError(f"{shown}:1: two columns {twice[0]}; keep one")
        for row in reader:
            where = f"{shown}:{reader.line_num}"
            if None in row or None in row.values():
                raise TruthError(f"{where}: the number of values differs from the header; fix it")
            yield where, row
    except csv.Error as error:
        line = reader.line_num + 1  # the reader stops before the line at fault
        raise TruthError(f"{shown}:{line}: {error}; fix this line") from error


def _json_rows(data: Any, shown: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    entries = data.get("spans") if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise TruthError(f"{shown}: no list of spans; expected [{{file, start_s, end_s, class}}]")
    for number, entry in enumerate(entries):
        where = f"{shown}: span {number}"
        if not isinstance(entry, dict) or any(name not in entry for name in COLUMNS):
            raise TruthError(f"{where}: needs the keys {', '.join(COLUMNS)}")
        yield where, entry


def _span(row: Mapping[str, Any], where: str) -> tuple[str, Span]:
    name, label = row["file"], row["class"]
    if not isinstance(name, str) or not isinstance(label, str):
        raise TruthError(f"{where}: file and class must be text; fix this entry")
    if not clean_name(name) or not label.strip():
        raise TruthError(f"{where}: file or class is empty; fill it in (class may be none)")
    start_s = _number(row["start_s"], where, "start_s")
    open_end = row["end_s"] is None or row["end_s"] == ""
    end_s = math.inf if open_end else _number(row["end_s"], where, "end_s")
    if end_s <= start_s:
        raise TruthError(f"{where}: the span ends at {end_s} s, before its start; correct it")
    planted = _flag(row.get("planted", ""), where)
    return clean_name(name), Span(start_s, end_s, label.strip(), planted, where)


def _number(value: Any, where: str, name: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise TruthError(f"{where}: {name} is {short(value)}, not a number of seconds; correct it")
    return number


def _flag(value: Any, where: str) -> bool:
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise TruthError(f"{where}: planted is {short(value)}; write true or false")
    return word in _TRUE
