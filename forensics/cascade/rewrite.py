"""Copy a cascade folder with another operating point, and nothing else changed.

`cascade.toml` is edited as text, so that comments, order and other keys stay; the result is read
again and must say the same as before but for the operating point.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from forensics.cascade.definition import FILE_NAME, CascadeDefinition, ModelRef, load_cascade
from forensics.errors import CascadeError
from forensics.hashes import sha256_of
from forensics.types import OperatingPoint

SECTION = "operating_point"
_HEADER = re.compile(rf"^[ \t]*\[[ \t]*{SECTION}[ \t]*\][ \t]*(#.*)?$", re.MULTILINE)
_ANY_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_STRING = r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\''
_VALUE = rf"(?:{_STRING}|[^\s#]+)"


def rewrite_cascade(
    source: CascadeDefinition, out: Path, point: OperatingPoint, chosen: str
) -> CascadeDefinition:
    """Copy the folder of `source` to `out` with `point`, and `chosen` on how it was chosen.

    Files beside `cascade.toml` are copied (sub-folders are not), model files hash-checked in the
    copy. `out` must be new or empty; it appears whole or not at all. Raises CascadeError.
    """
    if (source.classifier is None) != (point.classifier is None):
        raise CascadeError(
            f"{source.name}: a classifier threshold belongs to a classifier, and to nothing else; "
            "choose on a run of this very cascade"
        )
    path = source.folder / FILE_NAME
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != source.sha256:
        raise CascadeError(f"{path} changed while it was used; run the command again")
    text = replace_operating_point(raw.decode(), point, chosen)
    _check_free(out)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        _copy_files(source, partial)
        (partial / FILE_NAME).write_bytes(text.encode())
        partial.replace(out)
    except OSError as error:
        raise CascadeError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return load_cascade(out)


def check_same_cascade(source: CascadeDefinition, manifest: Mapping[str, Any]) -> None:
    """Refuse a cascade whose networks or event rule are not those of a run (its run.json).

    Thresholds mean something only for the scores of the networks that they were chosen on, and
    false alerts only under the rule that merges alarm frames into alerts.
    """
    known = {"detector": _hashes(source.detector.files)}
    if source.classifier is not None:
        known["classifier"] = _hashes(source.classifier.files)
    used = {str(model["stage"]): str(model["sha256"]) for model in manifest["models"]}
    for stage in sorted({*known, *used}):
        if used.get(stage) not in known.get(stage, set()):
            raise CascadeError(
                f"the {stage} of {source.name} {source.version} is not the one that the run used; "
                "give --cascade the folder that was scanned with"
            )
    # A run without the key is from before there were temperatures.
    warmth = manifest.get("cascade", {}).get("temperature", 1.0)
    if source.classifier is not None and warmth != source.classifier.temperature:
        raise CascadeError(
            f"the classifier of {source.name} {source.version} has another temperature than the "
            "run's; give --cascade the folder that was scanned with"
        )
    if manifest.get("events", asdict(source.events)) != asdict(source.events):
        raise CascadeError(
            f"the event rule of {source.name} {source.version} is not the run's, so that alerts "
            "would be merged otherwise; give --cascade the folder that was scanned with"
        )


def replace_operating_point(text: str, point: OperatingPoint, chosen: str) -> str:
    """The text of a `cascade.toml` with another operating point. Raises CascadeError."""
    before = tomllib.loads(text)
    wanted: dict[str, Any] = {"detector": shortest(point.detector), "chosen": chosen}
    if point.classifier is not None:
        wanted["classifier"] = shortest(point.classifier)
    headers = list(_HEADER.finditer(text))
    edited = text
    if len(headers) == 1:
        start = headers[0].end()
        following = _ANY_HEADER.search(text, start)
        stop = following.start() if following else len(text)
        section = text[start:stop]
        for key, value in wanted.items():
            section = _replace_value(section, key, value)
        edited = text[:start] + section + text[stop:]
    try:
        after: dict[str, Any] | None = tomllib.loads(edited)
    except tomllib.TOMLDecodeError:
        after = None
    if after != before | {SECTION: {**before[SECTION], **wanted}}:
        raise CascadeError(
            f"{FILE_NAME} is written in a way that cannot be edited here; give its [{SECTION}] "
            "a header and one line per key"
        )
    return edited


def shortest(threshold: float) -> float:
    """The threshold with the fewest digits that is the same number as float32, as scores are."""
    return float(str(np.float32(threshold)))


def _replace_value(section: str, key: str, value: float | str) -> str:
    line = re.compile(rf"^([ \t]*{key}[ \t]*=[ \t]*){_VALUE}", re.MULTILINE | re.DOTALL)
    written = repr(value) if isinstance(value, float) else toml_string(value)
    return line.sub(lambda found: found[1] + written, section, count=1)


def toml_string(text: str) -> str:
    """A TOML basic string: JSON's escapes, and the one control character that JSON lets pass."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _hashes(files: Mapping[str, ModelRef]) -> set[str]:
    return {reference.sha256 for reference in files.values()}


def _check_free(out: Path) -> None:
    if out.is_symlink() or out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise CascadeError(f"{out} exists already; choose a new or empty folder for --out")


def _copy_files(source: CascadeDefinition, to: Path) -> None:
    references = [*source.detector.files.values()]
    if source.classifier is not None:
        references += source.classifier.files.values()
    wanted = {reference.path.name: reference for reference in references}
    names = {path.name for path in source.folder.iterdir() if path.is_file()} - {FILE_NAME}
    if missing := sorted(set(wanted) - names):
        raise CascadeError(f"{source.folder} lacks {missing[0]}; restore the file")
    for name in sorted(names):
        shutil.copyfile(source.folder / name, to / name)
        if name in wanted and sha256_of(to / name) != wanted[name].sha256:
            raise CascadeError(
                f"{source.folder / name} has another SHA-256 than {FILE_NAME} says; restore it"
            )
