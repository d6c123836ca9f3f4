"""Built engines kept on disk, each with a JSON sidecar that says what it is and its hash.

An engine may hold code for the host: it is read only where nobody else can write, and handed to
TensorRT only when it hashes to what was recorded when it was built here.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forensics.errors import BackendError

SCHEMA = 1
LOCK = ".lock"
PIXELS = "pixels"  # name of every engine's input
RECIPE = 1  # raised with any change of `graphs` that changes a graph: engines are built anew
VARIABLE = "FORENSICS_ENGINES"
OTHERS_MAY_WRITE = 0o022
SAID = ("gpu", "compute", "flavour", "version", "precision", "imgsz", "model_sha256")


@dataclass(frozen=True, slots=True)
class EngineKey:
    """All that an engine depends on; `gpu` is empty where one fits every GPU of `compute`."""

    model_sha256: str
    recipe: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    imgsz: int
    precision: str
    profiles: tuple[int, ...]
    flags: tuple[str, ...]
    flavour: str
    version: str
    compute: str
    gpu: str

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # tuples become lists
        return found

    @property
    def name(self) -> str:
        """Name of the engine's files, without an ending."""
        text = json.dumps(self.to_json(), sort_keys=True).encode()
        return hashlib.sha256(text).hexdigest()[:32]


def engine_folder() -> Path:
    """Where engines are kept: $FORENSICS_ENGINES, else below the user's cache folder."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "forensics" / "engines"


@dataclass(frozen=True, slots=True)
class EngineCache:
    """The engines in `folder`."""

    folder: Path

    def plan_path(self, key: EngineKey) -> Path:
        return self.folder / f"{key.name}.engine"

    def load(self, key: EngineKey) -> tuple[bytes, str] | None:
        """The engine of `key` and its SHA-256; None when it has not been built.

        Raises BackendError when the file is not the one that was built, or is for another
        GPU, TensorRT or model, or others may write it.
        """
        path = self.plan_path(key)
        sidecar = path.with_suffix(".json")
        if not path.is_file() or not sidecar.is_file():  # the sidecar is written last
            return None
        for one in (self.folder, path, sidecar):
            _check_private(one)
        try:
            plan, said = path.read_bytes(), json.loads(sidecar.read_text(encoding="utf-8"))
            built_for, sha256 = said["key"], str(said["plan_sha256"])
        except OSError as error:
            raise BackendError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise BackendError(f"{sidecar} is damaged; delete it to build anew") from error
        _check_key(built_for, key, path)
        if hashlib.sha256(plan).hexdigest() != sha256:
            raise BackendError(
                f"{path} is not the engine that was built (its SHA-256 differs); delete it to "
                "build anew"
            )
        return plan, sha256

    def save(self, key: EngineKey, plan: bytes) -> str:
        """Keep an engine; returns its SHA-256. Raises BackendError."""
        sha256 = hashlib.sha256(plan).hexdigest()
        said = {"schema": SCHEMA, "key": key.to_json(), "plan_sha256": sha256}
        path = self.plan_path(key)
        path.with_suffix(".json").unlink(missing_ok=True)
        self.write(path.name, plan)
        self.write(path.with_suffix(".json").name, json.dumps(said, indent=1).encode() + b"\n")
        return sha256

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time build; the others wait for its engine. Raises BackendError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.folder / LOCK).open("a")
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self, name: str) -> bytes:
        """A file of what building or running learnt; empty when there is none to be trusted."""
        path = self.folder / name
        try:
            for one in (self.folder, path):
                _check_private(one)
            return path.read_bytes()
        except (OSError, BackendError):
            return b""

    def write(self, name: str, data: bytes) -> None:
        """Write a file in one step. Raises BackendError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, partial = tempfile.mkstemp(dir=self.folder, prefix=".partial-")
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(partial).replace(self.folder / name)
        except OSError as error:
            raise _unwritable(self.folder, error) from error


def _unwritable(folder: Path, error: OSError) -> BackendError:
    return BackendError(f"cannot keep engines in {folder}: {error.strerror}; set {VARIABLE}")


def _check_private(path: Path) -> None:
    found = path.stat()
    if found.st_mode & OTHERS_MAY_WRITE or found.st_uid not in {os.getuid(), 0}:
        raise BackendError(
            f"{path} can be written by others, and an engine can hold code; chmod go-w it, or set "
            f"{VARIABLE} to a folder of your own"
        )


def _check_key(built_for: Any, key: EngineKey, path: Path) -> None:
    wanted = key.to_json()
    if built_for == wanted:
        return
    other = built_for if isinstance(built_for, dict) else {}
    differs = next((name for name in SAID if other.get(name) != wanted[name]), "key")
    raise BackendError(
        f"{path} was built for another {differs} ({other.get(differs)}, here "
        f"{wanted.get(differs)}); delete it to build one for this machine"
    )
