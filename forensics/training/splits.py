"""Which cameras (or files) train and which validate: whole groups, never single frames."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from forensics.errors import TrainingError

TRAIN, VAL = "train", "val"


@dataclass(frozen=True, slots=True)
class SplitRule:
    """`named`: patterns of sources or groups that validate; else a `share` drawn by `seed`."""

    share: float = 0.2
    named: tuple[str, ...] = ()
    seed: int = 0

    def words(self) -> str:
        if self.named:
            return f"val: groups or sources like {', '.join(self.named)}; all others train"
        return f"val: {self.share:g} of the groups, drawn with seed {self.seed}; all others train"

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.words(),
            "share": None if self.named else self.share,
            "named": list(self.named),
            "seed": self.seed,
            "near_duplicates": "a training crop that nearly equals a validation crop, or its "
            "mirror image, is left out",
        }


def assign(sources: Mapping[str, Sequence[str]], rule: SplitRule) -> dict[str, str]:
    """Group -> "train" or "val", for groups and the sources in each.

    Drawn groups are the first by the SHA-256 of seed and name, so that a new group moves few
    others. Raises TrainingError where a pattern fits nothing.
    """
    chosen = _named(sources, rule.named) if rule.named else _drawn(sorted(sources), rule)
    return {group: VAL if group in chosen else TRAIN for group in sources}


def _named(sources: Mapping[str, Sequence[str]], patterns: Sequence[str]) -> set[str]:
    chosen: set[str] = set()
    for pattern in patterns:
        found = {
            group
            for group, paths in sources.items()
            if any(fnmatchcase(name, pattern) for name in (group, *paths))
        }
        if not found:
            shown = ", ".join(sorted(sources)[:5])
            raise TrainingError(
                f"--val {pattern}: no group or source with crops is called so (there are {shown}"
                f"{', ...' if len(sources) > 5 else ''}); correct the pattern"
            )
        chosen |= found
    return chosen


def _drawn(groups: Sequence[str], rule: SplitRule) -> set[str]:
    if len(groups) < 2 or rule.share <= 0:
        return set()
    count = min(len(groups) - 1, max(1, round(rule.share * len(groups))))

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"{rule.seed}|{name}".encode()).digest()

    return set(sorted(groups, key=rank)[:count])
