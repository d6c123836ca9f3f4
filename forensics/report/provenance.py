"""Where the figures come from: run, models, versions, thresholds, hashes, and how to check them."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forensics
from forensics.errors import TruthError
from forensics.hashes import sha256_of
from forensics.report.wording import count, threshold
from forensics.runlog.manifest import FILE_NAME, sessions_of
from forensics.runlog.reader import RunTables
from forensics.types import OperatingPoint

MOST_LISTED = 40


@dataclass(frozen=True, slots=True)
class Item:
    """A labelled value; `exact` ones are hashes, paths and commands."""

    label: str
    value: str
    exact: bool = False
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """The lists of the provenance section."""

    run: tuple[Item, ...]
    thresholds: tuple[Item, ...]
    models: tuple[Item, ...]
    versions: tuple[Item, ...]
    truth: tuple[Item, ...]
    rules: tuple[Item, ...]


def provenance(
    run: RunTables,
    point: OperatingPoint,
    truth: Sequence[Item],
    rules: Mapping[str, Any] | None,
    created_utc: str,
) -> Provenance:
    """Collect what the run folder says about itself."""
    manifest = run.manifest
    return Provenance(
        run=_run(run, created_utc),
        thresholds=_thresholds(manifest["thresholds"], point),
        models=_models(manifest),
        versions=tuple(
            Item(name, str(value)) for name, value in (manifest.get("versions") or {}).items()
        ),
        truth=tuple(truth),
        rules=tuple(
            Item(name.replace("_", " "), _plain(value)) for name, value in (rules or {}).items()
        ),
    )


def _run(run: RunTables, created_utc: str) -> tuple[Item, ...]:
    manifest = run.manifest
    cascade = manifest["cascade"]
    named = f"{cascade.get('name', '')} {cascade.get('version', '')}".strip()
    items = [
        Item("Run", str(manifest.get("id", "")), True),
        Item("Status", str(manifest.get("status", "not known"))),
        Item("Scanned by", str(manifest.get("product", ""))),
        *_commands(sessions_of(manifest)),
        Item("Footage below", str(manifest.get("base", "")), True),
        Item("Started", str(manifest.get("started_utc") or "")),
        Item("Ended", str(manifest.get("ended_utc") or "")),
        Item("Cascade", named, remark=_targets(cascade)),
        Item(
            "Engine", str(manifest.get("backend", "")), remark=str(manifest.get("backend_why", ""))
        ),
        Item("Frames on", str(manifest.get("frames_on", ""))),
        Item("Detector sees", looked(manifest)),
        Item("Settings, SHA-256", str(manifest.get("config_hash", "")), True),
        Item(f"{FILE_NAME}, SHA-256", _hash_of(run.folder / FILE_NAME), True),
        Item("Report by", f"forensics {forensics.__version__}"),
        Item("Report written", created_utc),
    ]
    return tuple(item for item in items if item.value)


def _commands(sessions: Sequence[Mapping[str, Any]]) -> Iterator[Item]:
    """The command of each session; of several also when it ran and how it ended."""
    for number, session in enumerate(sessions, 1):
        command = "forensics " + shlex.join(str(part) for part in session.get("argv") or ())
        if len(sessions) == 1:
            yield Item("Command", command, True)
            continue
        ended = session.get("ended_utc")
        span = f"{session.get('started_utc') or 'not known'} to {ended}"
        remark = f"{span}, {session.get('status', 'not known')}" if ended else (
            f"from {session.get('started_utc') or 'not known'}, cut off"
        )  # fmt: skip
        yield Item(f"Command, session {number} of {len(sessions)}", command, True, remark)


def _targets(cascade: Mapping[str, Any]) -> str:
    names = ", ".join(str(name) for name in cascade.get("target_classes") or ())
    return f"looks for: {names}" if names else ""


def looked(manifest: Mapping[str, Any]) -> str:
    """Input size and tiles; empty for detections that were made elsewhere."""
    if not manifest.get("imgsz"):
        return ""
    said = f"the whole frame at {manifest['imgsz']} pixels"
    tiling = manifest.get("tiling") or {}
    columns, rows = tiling.get("columns", 1), tiling.get("rows", 1)
    if columns * rows == 1:
        return said
    overlap = 100 * tiling.get("overlap", 0)
    return f"{said}, and {columns} x {rows} tiles of it that overlap by {overlap:.0f} %"


def _thresholds(thresholds: Mapping[str, Any], point: OperatingPoint) -> tuple[Item, ...]:
    scanned = OperatingPoint(thresholds["detector"], thresholds["classifier"])
    same = point == scanned
    chosen = "as scanned" if same else (
        f"chosen for this report; the scan had {threshold(scanned.detector)} and "
        f"{threshold(scanned.classifier)}"
    )  # fmt: skip
    return (
        Item(
            "Floor", threshold(thresholds["floor"]),
            remark="detector score below which nothing was kept: no figure can go lower",
        ),
        Item(
            "Gate", threshold(thresholds.get("gate")),
            remark="detector score from which the classifier was asked",
        ),
        Item(
            "Operating point", f"{threshold(point.detector)} / {threshold(point.classifier)}",
            remark=f"detector / classifier: from these scores on a box is an alarm; {chosen}",
        ),
    )  # fmt: skip


def _models(manifest: Mapping[str, Any]) -> tuple[Item, ...]:
    engines = {str(e.get("model_sha256")): e for e in manifest.get("engines") or ()}
    items = []
    for model in manifest.get("models") or ():
        engine = engines.get(str(model["sha256"]), {})
        facts = [
            str(engine[k]) for k in ("backend", "version", "device", "precision") if k in engine
        ]
        if "arithmetic" in engine:
            facts.append(f"weights, computed in {engine['arithmetic']}")
        name = Path(str(model["path"])).name
        items.append(Item(f"{model['stage']}: {name}", str(model["sha256"]), True, " ".join(facts)))
    sha256 = manifest["cascade"].get("sha256")
    if sha256:
        items.append(Item("cascade definition", str(sha256), True))
    return tuple(items)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{old} = {new or '(dropped)'}" for old, new in value.items()) or "none"
    return count(value) if isinstance(value, int) and value > 9999 else f"{value}"


def _hash_of(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:
        return ""


def hash_truth(paths: Sequence[Path], sources: Sequence[str]) -> tuple[Item, ...]:
    """SHA-256 of the truth files that were read; of many, one sum over the list of sums."""
    sums = []
    for path in paths:
        names = [path] if path.is_file() else [path / name for name in sources]
        sums += [(file.name, _truth_hash(file)) for file in names if file.is_file()]
    if len(sums) <= MOST_LISTED:
        return tuple(Item(name, sha256, True) for name, sha256 in sums)
    text = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(sums))
    whole = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    remark = "SHA-256 over the lines `hash  name`, sorted by name and hash"
    return (Item(f"{count(len(sums))} truth files", whole, True, remark),)


def _truth_hash(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise TruthError(f"{path}: {error.strerror}; check the path of the truth") from error
