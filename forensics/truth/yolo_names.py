"""Class names of YOLO labels: of `names` in a data.yaml, or a name a line.

Of YAML the nodes are read, all scalars as text: nothing is constructed, no name becomes a number,
and a key that stands twice is seen.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml

from forensics.errors import TruthError
from forensics.truth.base import read_text

_YAML_FILES = ("data.yaml", "data.yml", "dataset.yaml")
_LINE_FILES = ("obj.names", "classes.txt")
CLASS_FILES = frozenset({*_YAML_FILES, *_LINE_FILES})
"""Names of the files that name the classes; they are no labels themselves."""

_NUMBER = re.compile("0|[1-9][0-9]{0,5}")


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
    if any(key == "kpt_shape" for key, _ in _pairs(_root(text, shown))):
        raise TruthError(
            f"{shown}: kpt_shape: labels of poses, whose points would be taken for polygons; "
            "export boxes, and take kpt_shape out"
        )
    return parse_names(text, shown)


def parse_names(text: str, shown: str) -> tuple[str, ...]:
    """Read the `names` of a data.yaml: a list, or a mapping from number to name."""
    found = [value for key, value in _pairs(_root(text, shown)) if key == "names"]
    if not found:
        raise TruthError(f"{shown}: no `names`; add them, or delete the file and map numbers")
    names = _numbered(found[0])
    sound = all(name.strip() and name.isprintable() for _, name in names)
    if not names or len(found) > 1 or [n for n, _ in names] != list(range(len(names))) or not sound:
        raise TruthError(
            f"{shown}: cannot read `names`; write them once, as a list, one `- name` a line"
        )
    return tuple(name for _, name in names)


def _root(text: str, shown: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{shown}:{mark.line + 1}" if mark else shown
        said = getattr(error, "problem", None) or "nested too deeply, or no text"
        raise TruthError(f"{where}: cannot read it as YAML: {said}") from error


def _pairs(node: yaml.Node | None) -> list[tuple[str, yaml.Node]]:
    """Keys that are plain text, with their values."""
    if not isinstance(node, yaml.MappingNode):
        return []
    return [(key.value, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]


def _numbered(node: yaml.Node) -> list[tuple[int, str]]:
    """The names by ascending number; none where something else stands there."""
    if isinstance(node, yaml.SequenceNode):
        listed = list(enumerate(node.value))
    else:
        pairs = _pairs(node)
        if len(pairs) < len(node.value) or not all(_NUMBER.fullmatch(key) for key, _ in pairs):
            return []
        listed = sorted(((int(key), value) for key, value in pairs), key=lambda pair: pair[0])
    if not all(isinstance(value, yaml.ScalarNode) for _, value in listed):
        return []
    return [(number, value.value) for number, value in listed]
