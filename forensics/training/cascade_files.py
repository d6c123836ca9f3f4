"""Write a cascade folder's `cascade.toml` and model card; read the facts a card is given."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from forensics.cascade.definition import (
    FILE_NAME,
    CascadeDefinition,
    ClassifierSpec,
    DetectorSpec,
    EventRule,
    load_cascade,
)
from forensics.cascade.rewrite import shortest, toml_string
from forensics.errors import CascadeError, TrainingError
from forensics.runlog.writer import write_bytes
from forensics.types import OperatingPoint

CARD = "card.md"
SOURCE_KEYS = ("name", "licence", "counts")


@dataclass(frozen=True, slots=True)
class CascadeText:
    """All that `cascade.toml` says; file names and hashes are those of the specs' `files`."""

    name: str
    version: str
    licence: str
    description: str
    detector: DetectorSpec
    classifier: ClassifierSpec | None
    point: OperatingPoint
    chosen: str
    events: EventRule
    precisions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the user knows of a cascade: data sources, training settings, figures, failures."""

    sources: tuple[Mapping[str, Any], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    failures: str = ""


def write_cascade(folder: Path, text: CascadeText) -> CascadeDefinition:
    """Write `cascade.toml` into `folder`, read it again, and check that it says the same."""
    written = _environment().get_template("cascade.toml.j2").render(
        {name: getattr(text, name) for name in text.__slots__}
    )
    write_bytes(written.encode(), folder / FILE_NAME)
    read = load_cascade(folder)
    same = (
        (read.name, read.version, read.licence) == (text.name, text.version, text.licence)
        and (read.detector, read.classifier) == (text.detector, text.classifier)
        and (read.chosen_how, read.events) == (text.chosen, text.events)
        and (read.precisions, read.operating_point) == (text.precisions, text.point)
    )
    if not same:
        raise CascadeError(f"{folder / FILE_NAME} does not read back as written; report this")
    return read


def read_card_facts(
    data: Path | None, figures: Path | None, failures: Path | None
) -> CardFacts:
    """Read what a card is given: TOML of sources, JSON of figures, text. Raises TrainingError."""
    table = {} if data is None else _load(data, tomllib.loads)
    sources = table.get("source", table.get("sources", []))
    if data is not None and (not isinstance(sources, list) or not sources):
        raise TrainingError(f"{data} lists no [[source]] with name, licence and counts; add them")
    for number, source in enumerate(sources, 1):
        missing = [key for key in SOURCE_KEYS if key not in source]
        if missing:
            raise TrainingError(f"{data}: source {number} has no {missing[0]}; add it")
    known = {} if figures is None else _load(figures, json.loads)
    if not isinstance(known, dict):
        raise TrainingError(f"{figures} is not a JSON object of figures; write name: value pairs")
    words = "" if failures is None else _load(failures, str.strip)
    return CardFacts(tuple(sources), table.get("settings", {}), known, words)


def write_card(
    cascade: CascadeDefinition,
    card: CardFacts,
    parity: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
) -> None:
    """Write `card.md` beside the models."""
    stages = {"detector": cascade.detector, "classifier": cascade.classifier}
    sizes = {
        stage: {k: f"{r.path.stat().st_size / 1e6:.1f}" for k, r in spec.files.items()}
        for stage, spec in stages.items()
        if spec is not None
    }
    text = _environment().get_template("card.md.j2").render(
        cascade=cascade,
        sizes=sizes,
        sources=card.sources,
        settings=card.settings,
        figures=card.figures,
        failures=card.failures,
        parity=parity,
        facts=facts,
    )
    write_bytes(text.encode(), cascade.folder / CARD)


def _load(path: Path, parse: Any) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}; check the path") from error
    except ValueError as error:  # of TOML, JSON and UTF-8 alike
        raise TrainingError(f"{path} cannot be read ({error}); correct it") from error


def _environment() -> Environment:
    environment = Environment(  # noqa: S701  text files, not pages
        loader=PackageLoader("forensics.training"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"toml": _toml, "cell": _cell, "numbers": _numbers}
    return environment


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(float(value))


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_cell(item)}" for key, item in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(_cell(item) for item in value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def _numbers(values: Sequence[float] | None) -> str:
    return "none" if values is None else ", ".join(f"{value:.3f}" for value in values)


def as_point(detector: float, classifier: float | None) -> OperatingPoint:
    """An operating point as `cascade.toml` can hold it: the shortest numbers that are the same."""
    second = None if classifier is None else shortest(classifier)
    return OperatingPoint(shortest(detector), second)
