"""Find input files and identify them by content. Names are bytes to us: any of them may be odd."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from forensics.errors import FootageError
from forensics.footage.pictures import is_still
from forensics.types import FOOTAGE_SUFFIXES, STILL_SUFFIXES, InputFile

CHUNK_BYTES = 1 << 20
UNLISTED = "cannot be listed"


def find_inputs(
    roots: Sequence[Path], *, recursive: bool, camera: str = "folder"
) -> tuple[InputFile, ...]:
    """List the footage below `roots` in a stable order.

    `camera` says what a camera is: "folder" (the sub-folder; files directly in a root are each
    their own), "file", or a regular expression whose first group is taken from the path.
    Symbolic links, special files and folders that cannot be listed are listed as refused. Raises
    FootageError when a root is missing or nothing is found.
    """
    cameras = _Cameras(camera_namer(camera))
    base = common_base(roots)
    found: dict[Path, InputFile] = {}
    for root in roots:
        absolute = Path(os.path.abspath(root))
        for path, refused in _walk(absolute, recursive=recursive):
            if path not in found:
                file = _describe(path, base, refused)
                found[path] = replace(file, camera_id=cameras.name(file, absolute, base))
    if not found:
        where = ", ".join(display_name(root) for root in roots)
        hint = "" if recursive else "; add --recursive to look into sub-folders"
        raise FootageError(f"no footage found in {where}{hint}")
    return tuple(found.values())


def passed_over(roots: Sequence[Path], *, recursive: bool) -> dict[str, int]:
    """Ending -> how many files below `roots` are not offered to a scan because of it.

    Recorders use odd endings too: whoever knows better names such a file itself. Folders that are
    not looked into count as "folder".
    """
    found: Counter[str] = Counter()
    for root in {Path(os.path.abspath(root)) for root in roots if root.is_dir()}:
        for _, folders, names in os.walk(root):  # what cannot be listed is a refused input
            endings = [Path(name).suffix.lower() for name in names]
            known = FOOTAGE_SUFFIXES
            found.update(display_name(e) or "none" for e in endings if e not in known)
            if not recursive:
                found.update(["folder"] * len(folders))
                break
    return dict(sorted(found.items()))


def display_name(path: str | Path) -> str:
    """A printable form of any file name: undecodable bytes and control characters as escapes.

    A backslash is doubled, so that no two names look the same.
    """
    text = os.fsencode(path).replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def camera_namer(rule: str) -> re.Pattern[str] | str:
    """Check a camera rule: "folder", "file" or a regular expression with one group."""
    if rule in {"folder", "file"}:
        return rule
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise FootageError(f"--camera {rule!r} is not a regular expression: {error}") from error
    if pattern.groups < 1:
        raise FootageError(f"--camera {rule!r} has no group: write for example '(cam[0-9]+)'")
    return pattern


def hash_file(path: Path, stopped: Callable[[], bool] = lambda: False) -> str:
    """SHA-256 of a file's content, lower-case hexadecimal. Raises OSError, also when `stopped`."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            if stopped():
                raise InterruptedError(errno.EINTR, "the scan was stopped")
            digest.update(chunk)
    return digest.hexdigest()


def _walk(root: Path, *, recursive: bool) -> Iterator[tuple[Path, str]]:
    """Paths below `root`; with a reason where it is a folder that cannot be listed."""
    try:
        mode = root.stat().st_mode
    except OSError as error:
        name = display_name(root)
        raise FootageError(f"cannot read {name}: {error.strerror}; check the path") from error
    if not stat.S_ISDIR(mode):
        yield root, ""
        return
    failed: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=failed.append):
        yield from _unlisted(failed)
        folders.sort(key=_natural_key)
        for name in sorted(names, key=_natural_key):
            if Path(name).suffix.lower() in FOOTAGE_SUFFIXES:
                yield Path(folder, name), ""
        if not recursive:
            return
        # Links to folders are not followed: they may lead out, or round in a circle. They are
        # listed, and refused like other links.
        paths = [Path(folder, name) for name in folders]
        # Not Path.is_symlink, which fails on a path that is too long.
        yield from ((path, "") for path in paths if os.path.islink(path))  # noqa: PTH114
    if failed and Path(str(failed[0].filename)) == root:
        name, why = display_name(root), failed[0].strerror
        raise FootageError(f"cannot list {name}: {why}; nothing below it can be scanned")
    yield from _unlisted(failed)


def _unlisted(failed: list[OSError]) -> Iterator[tuple[Path, str]]:
    """The folders that could not be listed since last asked: one must not hide the others."""
    for error in failed:
        yield Path(str(error.filename)), f"{UNLISTED}: {error.strerror}"
    failed.clear()


def _natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sort "frame2" before "frame10"; ties by the exact name."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts), name


def common_base(roots: Sequence[Path]) -> Path:
    """The folder that logged paths are relative to: the root folder, or what roots share."""
    folders = []
    for root in roots:
        absolute = Path(os.path.abspath(root))
        folders.append(absolute if absolute.is_dir() else absolute.parent)
    if not folders:
        raise FootageError("name at least one file or folder to scan")
    return Path(os.path.commonpath(folders))


def _describe(path: Path, base: Path, refused: str) -> InputFile:
    """The file, but for its camera."""
    relative = display_name(path.relative_to(base).as_posix())
    size_bytes, mtime_ns = 0, 0
    if refused:
        return InputFile(path, relative, "", 0, 0, refused)
    try:
        facts = os.lstat(path)
        size_bytes, mtime_ns = facts.st_size, facts.st_mtime_ns
        if stat.S_ISLNK(facts.st_mode):
            refused = "symbolic link: give the file that it points to"
        elif not stat.S_ISREG(facts.st_mode):
            refused = "not a regular file"
    except OSError as error:
        refused = f"cannot be read: {error.strerror}"
    moving = not refused and path.suffix.lower() in STILL_SUFFIXES and not is_still(path)
    return InputFile(path, relative, "", size_bytes, mtime_ns, refused, moving)


class _Cameras:
    """Names the camera of each file by a checked rule.

    By the folder in which the file was looked for, so that naming one more folder changes no
    camera. Where two such folders give the same name, the later one puts its own before it.
    """

    def __init__(self, rule: re.Pattern[str] | str) -> None:
        self._rule = rule
        self._root_of: dict[str, Path] = {}

    def name(self, file: InputFile, root: Path, base: Path) -> str:
        if isinstance(self._rule, re.Pattern):
            match = self._rule.search(file.relative)
            if match is None and file.refused:
                return file.relative  # a folder, for example
            if match is None or not match.group(1):
                raise FootageError(
                    f"--camera {self._rule.pattern!r} does not match {file.relative}"
                )
            return match.group(1)
        top = root.parent if file.path == root else root
        local = display_name(file.path.relative_to(top).as_posix())
        folder = local.rpartition("/")[0]
        local = folder if folder and self._rule == "folder" else local
        return self._free(local, root, top, base)

    def _free(self, local: str, root: Path, top: Path, base: Path) -> str:
        """`local`, unless another root has it already."""
        prefix = display_name(top.relative_to(base).as_posix())
        name = local
        while self._root_of.setdefault(name, root) != root:
            name = f"{prefix}/{name}"
        return name
