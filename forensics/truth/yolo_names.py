"""Class names of YOLO labels: of `names` in a data.yaml, or a name a line.

Of YAML only what such files hold is read, and nothing is executed: a list or a mapping from number
to name, in either style, of plain or quoted names on one line. The rest is refused, not guessed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from forensics.errors import TruthError
from forensics.truth.base import read_text

_YAML_FILES = ("data.yaml", "data.yml", "dataset.yaml")
_LINE_FILES = ("obj.names", "classes.txt")
CLASS_FILES = frozenset({*_YAML_FILES, *_LINE_FILES})
"""Names of the files that name the classes; they are no labels themselves."""

_KEY = re.compile(r"""(?P<quote>["']?)(?P<number>0|[1-9]\d{0,5})(?P=quote)\s*:(?=\s)""")
_QUOTED = re.compile(r"""\"(?P<double>[^\"\\\n]*)\"|'(?P<single>(?:[^'\n]|'')*)'""")
_FIRST = r"""[^\s\[\]{},#&*!|>%@`"':?-]"""  # what else YAML gives a meaning
_PLAIN = re.compile(_FIRST + r"[^\n]*")
_PLAIN_IN_FLOW = re.compile(_FIRST + r"[^\[\]{},\n]*")
_GAP = re.compile(r"(?:\s+(?:#[^\n]*)?)*")
_REST = re.compile(r"[^\S\n]*(?:[^\S\n]#[^\n]*)?(?:\n|$)")
_ITEM = re.compile(r"(?P<indent> *)(?:(?P<dash>-)\s+)?")


def class_names(labels_folder: Path, top: Path) -> tuple[str, ...] | None:
    """Class names that belong to a folder of labels, searched upward to the parent of `top`.

    `data.yaml` comes before `dataset.yaml`, `obj.names` and `classes.txt`; None if there is none.
    """
    last = Path(os.path.abspath(top)).parent
    folder = Path(os.path.abspath(labels_folder))
    while True:
        for name in _YAML_FILES:
            if (folder / name).is_file():
                return _of_labels(read_text(folder / name, name), name)
        for name in _LINE_FILES:
            if (folder / name).is_file():
                return one_a_line(read_text(folder / name, name), name)
        if folder in (last, folder.parent):
            return None
        folder = folder.parent


def one_a_line(text: str, shown: str) -> tuple[str, ...]:
    """Names whose numbers count the lines; a blank line would shift those behind it."""
    names = [line.strip() for line in text.rstrip().splitlines()]
    if not all(names):
        raise TruthError(
            f"{shown}:{names.index('') + 1}: a class without a name; class numbers count these "
            "lines, so fill it in, or take the line out if it counts for nothing"
        )
    return tuple(names)


def _of_labels(text: str, shown: str) -> tuple[str, ...]:
    if re.search(r"^kpt_shape\s*:", text, re.MULTILINE):
        raise TruthError(
            f"{shown}: kpt_shape: labels of poses, whose points would be taken for polygons; "
            "export boxes, and take kpt_shape out"
        )
    return parse_names(text, shown)


class _UnreadError(Exception):
    """Not one of the forms that are read here."""


def parse_names(text: str, shown: str) -> tuple[str, ...]:
    """Read the `names` of a data.yaml: a list or a mapping from number to name, either style."""
    lines = text.splitlines()
    starts = [place for place, line in enumerate(lines) if re.match(r"names\s*:(\s|$)", line)]
    if not starts:
        raise TruthError(f"{shown}: no `names`; add them, or delete the file and map numbers")
    first = lines[starts[0]].split(":", 1)[1]
    below = lines[starts[0] + 1 :]
    try:
        names = _block(below) if _REST.fullmatch(first) else _flow("\n".join([first, *below]))
    except _UnreadError:
        names = {}
    numbered = sorted(names) == list(range(len(names)))
    sound = all(name.strip() and name.isprintable() for name in names.values())
    if not names or not numbered or not sound or len(starts) > 1:
        raise TruthError(
            f"{shown}: cannot read `names`; write them once, as a list, one `- name` a line"
        )
    return tuple(names[number] for number in range(len(names)))


def _block(lines: list[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    form: tuple[str, bool] | None = None  # indent, and whether it is a list
    for line in lines:
        if _REST.fullmatch(line) or line.lstrip().startswith("#"):
            continue
        found = _ITEM.match(line)
        if found is None:
            raise _UnreadError
        listed = found["dash"] is not None
        if not listed and not found["indent"] and (line[0] not in "\t-" or line[:3] == "---"):
            break  # the next key
        form = form or (found["indent"], listed)
        if form != (found["indent"], listed):
            raise _UnreadError
        number, at = (len(names), found.end()) if listed else _number(line, found.end())
        name, end = _scalar(line, at, _PLAIN)
        if number in names or not _REST.fullmatch(line, end):
            raise _UnreadError
        names[number] = name
    return names


def _flow(text: str) -> dict[int, str]:
    at = _gap(text, 0)
    closing = {"[": "]", "{": "}"}.get(text[at : at + 1])
    names: dict[int, str] = {}
    while True:
        at = _gap(text, at + 1)  # behind the bracket or a comma
        if closing is not None and text[at : at + 1] == closing:
            break
        number = len(names)
        if closing == "}":
            number, at = _number(text, at)
        name, at = _scalar(text, at, _PLAIN_IN_FLOW)
        at = _gap(text, at)
        if closing is None or number in names or text[at : at + 1] not in {",", closing}:
            raise _UnreadError
        names[number] = name
        if text[at] == closing:
            break
    if not _REST.match(text, at + 1):
        raise _UnreadError
    return names


def _number(text: str, at: int) -> tuple[int, int]:
    key = _KEY.match(text, at)
    if key is None:
        raise _UnreadError
    return int(key["number"]), _gap(text, key.end())


def _scalar(text: str, at: int, plain: re.Pattern[str]) -> tuple[str, int]:
    """One name, and where it ends."""
    quoted = _QUOTED.match(text, at)
    if quoted:
        double = quoted["double"]
        return quoted["single"].replace("''", "'") if double is None else double, quoted.end()
    found = plain.match(text, at)
    said = re.split(r"\s#", found[0], maxsplit=1)[0].rstrip() if found else ""
    if not said or re.search(r":(\s|$)", said):
        raise _UnreadError
    return said, at + len(said)


def _gap(text: str, at: int) -> int:
    """Where white space and comments end."""
    found = _GAP.match(text, at)
    return found.end() if found else at
