"""run.json: what ran, on what, with which settings and how it ended."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forensics.errors import RunLogError
from forensics.runlog.schemas import SCHEMA_VERSION
from forensics.runlog.writer import write_json

FILE_NAME = "run.json"


def config_hash(settings: dict[str, Any]) -> str:
    """SHA-256 over the settings that determine the log's content."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_json(manifest, folder / FILE_NAME)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read run.json. Raises RunLogError when the folder is no run of this schema version."""
    path = folder / FILE_NAME
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        version = manifest["schema"]
    except FileNotFoundError as error:
        raise RunLogError(f"{folder} is not a run folder: it has no {FILE_NAME}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunLogError(f"{path} is damaged: {error}") from error
    if version != SCHEMA_VERSION:
        raise RunLogError(f"{folder} has schema {version}; this version reads {SCHEMA_VERSION}")
    return manifest
