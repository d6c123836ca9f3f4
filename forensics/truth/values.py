"""Checked values out of label files: every refusal names the place and says what to do."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # noqa: S405 - document types are refused before parsing

from forensics.errors import TruthError
from forensics.truth.base import MAX_FRAMES, clean_name, read_text

MAX_XML_BYTES = 512 << 20
_FRAME = re.compile(r"^(?P<name>.+)#(?P<index>\d{1,8})$")
_TRUE = frozenset({"1", "true", "yes"})
_FALSE = frozenset({"", "0", "false", "no"})


def whole(value: Any, where: str, name: str, *, least: int = 0) -> int:
    """A whole number from `least` to the most frames that footage can have."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or number != int(number) or not least <= number <= MAX_FRAMES:
        raise TruthError(
            f"{where}: {name} is {short(value)}, not a whole number from {least}; correct it"
        )
    return int(number)


def number(value: Any, where: str, name: str) -> float:
    """A finite number, given as a number or as text."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise TruthError(f"{where}: {name} is {short(value)}, not a usable number; correct it")
    return found


def numbers(value: Any, count: int, where: str, name: str) -> tuple[float, ...]:
    """A list of `count` numbers; whether they make a usable box is for the builder to say."""
    if not isinstance(value, list) or len(value) != count:
        raise TruthError(f"{where}: {name} must be a list of {count} numbers; correct it")
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in value):
        raise TruthError(f"{where}: {name} holds what is no number; correct it")
    try:
        return tuple(float(v) for v in value)
    except OverflowError as error:
        raise TruthError(f"{where}: {name} holds a number out of range; correct it") from error


def words(value: Any, where: str, name: str) -> str:
    """Text that is not empty, without spaces at its ends."""
    if not isinstance(value, str) or not value.strip():
        raise TruthError(f"{where}: {name} is {short(value)}, not text; fill it in")
    return value.strip()


def flag(value: Any, where: str, name: str) -> bool:
    """A yes or no, as JSON, 0 or 1, or text; nothing means no."""
    word = "" if value is None else str(value).strip().lower()
    if isinstance(value, list | dict) or word not in _TRUE | _FALSE:
        raise TruthError(f"{where}: {name} is {short(value)}; write 0 or 1")
    return word in _TRUE


def items(value: Any, where: str, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise TruthError(f"{where}: `{name}` is not a list; export the file again")
    return value


def table(value: Any, where: str, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TruthError(f"{where}: {name} is not an object; export the file again")
    return value


def frame_name(name: str) -> tuple[str, int | None]:
    """Split `clip.mp4#123` into the clip and its 0-based frame; None where no frame is named."""
    cleaned = clean_name(name)
    marked = _FRAME.match(cleaned)
    return (marked["name"], int(marked["index"])) if marked else (cleaned, None)


def read_json(path: Path, shown: str) -> Any:
    """Parse a JSON file. Raises TruthError."""
    try:
        return json.loads(read_text(path, shown), object_pairs_hook=_without_repeats)
    except _RepeatedKeyError as error:
        raise TruthError(
            f"{shown}: the key {short(error.args[0])} stands twice in one object; which counts is "
            "not certain: fix or export it again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise TruthError(f"{shown}: not valid JSON ({error}); fix or export it again") from error


class _RepeatedKeyError(Exception):
    """Python would silently take the last of several values."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedKeyError(key)
        found[key] = value
    return found


def read_xml(path: Path, shown: str) -> ElementTree.Element:
    """Parse an XML file that declares no document type: entities could swell or fetch files.

    The parser is given text, so that no declared encoding can hide a declaration from the check.
    """
    try:
        size_bytes = path.stat().st_size
    except OSError:
        size_bytes = 0  # `read_text` says why
    if size_bytes > MAX_XML_BYTES:
        raise TruthError(f"{shown}: larger than {MAX_XML_BYTES >> 20} MiB; export it in parts")
    text = read_text(path, shown)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise TruthError(f"{shown}: declares a document type, which labels never need; take it out")
    try:
        return ElementTree.fromstring(text)  # noqa: S314 - checked above
    except (ElementTree.ParseError, ValueError) as error:
        raise TruthError(f"{shown}: not valid XML ({error}); export it again") from error


def child_text(element: ElementTree.Element, names: Sequence[str]) -> str:
    """The text of the first of several children (paths) that is there; empty if none is."""
    for name in names:
        found = element.findtext(name)
        if found is not None and found.strip():
            return found.strip()
    return ""


def short(value: Any) -> str:
    """A value as messages show it; Python refuses to print numbers of many thousand digits."""
    if isinstance(value, int) and value.bit_length() > 64:
        return "a huge number"
    return "a list" if isinstance(value, list | dict) else repr(value)[:60]
