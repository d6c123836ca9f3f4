"""What the classes of a truth are to a run: targets, ignore regions, decoys, or dropped."""

from __future__ import annotations

from forensics.errors import TruthError
from forensics.evaluation.rules import Rules
from forensics.truth.base import IGNORE, NONE, Truth

TARGET, IGNORE_REGION, DECOY = range(3)


def class_roles(
    truth: Truth, rules: Rules, targets: tuple[str, ...], known: tuple[str, ...]
) -> dict[str, tuple[str, int] | None]:
    """What each truth class is: (name, kind), or None when it is dropped."""
    roles: dict[str, tuple[str, int] | None] = {}
    for written in truth.classes:
        name = rules.class_map.get(written, written)
        if not name:
            roles[written] = None
        elif name in targets:
            roles[written] = (name, TARGET)
        elif name == IGNORE:
            roles[written] = (name, IGNORE_REGION)
        elif name in known or name == NONE:
            roles[written] = (name, DECOY)
        else:
            other = f" or {', '.join(known)}" if known else ""
            raise TruthError(
                f"truth class {written!r} is unknown to this run (it looks for "
                f"{', '.join(targets)}{other}); map it with --class-map {written}="
                f"{targets[0] if targets else 'NAME'} or drop it with --class-map {written}="
            )
    return roles


def truth_notes(
    truth: Truth, missing: list[str], rules: Rules, targets: tuple[str, ...]
) -> list[str]:
    """What the truth holds that an evaluation leaves out, in plain words."""
    notes = []
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        notes.append(f"the truth names {len(missing)} files that are not in the run: {shown}")
    if truth.problems:
        shown = "; ".join(f"{problem.where}: {problem.what}" for problem in truth.problems[:3])
        more = "; ..." if len(truth.problems) > 3 else ""
        notes.append(f"{len(truth.problems)} labels could not be taken as written: {shown}{more}")
    if truth.skipped:
        shown = ", ".join(truth.skipped[:5]) + (", ..." if len(truth.skipped) > 5 else "")
        notes.append(f"{len(truth.skipped)} files in the truth folder are no truth: {shown}")
    declared = {*truth.classes, *truth.declared}
    unused = [name for name in rules.class_map if name not in declared]
    if unused:
        notes.append(f"--class-map names {', '.join(unused)}, which the truth does not use")
    mapped = {rules.class_map.get(name, name) for name in declared}
    if not mapped & set(targets):
        notes.append(
            f"the truth names no target class ({', '.join(targets)}): what it labels counts as "
            "negative, and recall is not defined"
        )
    return notes
