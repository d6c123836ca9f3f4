"""Which footage a name in labels means: exact path, else unique path ending, else unique stem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from forensics.errors import TruthError
from forensics.types import FOOTAGE_SUFFIXES

MAX_NAMED = 5


class MediaNames:
    """Finds the media that a name means, among the paths of a run, numbered."""

    def __init__(self, paths: dict[str, int]) -> None:
        self._paths = paths
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            self._by_name[PurePosixPath(path).name].append(path)
            self._by_stem[PurePosixPath(path).stem].append(path)

    def find(self, name: str, source: str, *, suffix_known: bool) -> int | None:
        """Return the media's number, or None if it is not there.

        Raises where the name fits several files: guessing would put labels on the wrong footage.
        """
        if suffix_known and name in self._paths:
            return self._paths[name]
        pool = self._by_name[_last(name)] if suffix_known else self._by_stem[_last(name)]
        endings = [path for path in pool if _same_ending(name, path, suffix_known)]
        exact = [path for path in endings if not suffix_known and _strip(path) == name]
        whole, cut = self._by_stem[_last(name)], self._by_stem[_without_suffix(_last(name))]
        for candidates in (exact, endings, whole, cut if suffix_known else []):
            numbers = {self._paths[path] for path in candidates}
            if len(numbers) == 1:
                return numbers.pop()
            if numbers:
                raise TruthError(
                    f"{source}: {name} could mean {_listed(candidates)}; "
                    "write its path in full"
                )
        return None


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _without_suffix(last: str) -> str:
    """A file's name without its extension; what only looks like one, as in "a.b", stays."""
    path = PurePosixPath(last)
    return path.stem if path.suffix.lower() in FOOTAGE_SUFFIXES else last


def _strip(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _same_ending(name: str, path: str, suffix_known: bool) -> bool:
    """Whether one is the other with folders in front."""
    path = path if suffix_known else _strip(path)
    return f"/{path}".endswith(f"/{name}") or f"/{name}".endswith(f"/{path}")


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - MAX_NAMED} more" if len(ordered) > MAX_NAMED else ""
    return ", ".join(ordered[:MAX_NAMED]) + more
