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
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunLogError(f"{path} is damaged: {error}") from error
    if version != SCHEMA_VERSION:
        raise RunLogError(f"{folder} has schema {version}; this version reads {SCHEMA_VERSION}")
    return manifest


def with_session(
    manifest: dict[str, Any], earlier: dict[str, Any] | None, *, started_utc: str
) -> dict[str, Any]:
    """Add to a manifest the session that begins now, after those of the `earlier` manifest.

    `argv` and `started_utc` of the manifest stay those of the first session; each session has its
    own `argv`, `started_utc` and `ended_utc`, which is null where it was cut off.
    """
    session = {"argv": manifest["argv"], "started_utc": started_utc, "ended_utc": None}
    sessions = [] if earlier is None else sessions_of(earlier)
    first = (sessions or [session])[0]
    return manifest | {
        "argv": first.get("argv"),
        "started_utc": first.get("started_utc"),
        "ended_utc": None,
        "status": "partial",
        "sessions": [*sessions, session],
    }


def end_session(manifest: dict[str, Any], status: str) -> dict[str, Any]:
    """The manifest when the session that `with_session` added ends now."""
    ended = utc_now()
    *before, last = manifest["sessions"]
    sessions = [*before, last | {"ended_utc": ended, "status": status}]
    return manifest | {"ended_utc": ended, "status": status, "sessions": sessions}


def sessions_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The sessions of a run, first to last: `argv`, `started_utc`, `ended_utc`, `status` of each.

    A manifest that lists none had one.
    """
    known = manifest.get("sessions")
    if isinstance(known, list) and known and all(isinstance(one, dict) for one in known):
        return known
    return [{key: manifest.get(key) for key in ("argv", "started_utc", "ended_utc", "status")}]
