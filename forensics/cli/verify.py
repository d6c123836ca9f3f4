"""`forensics verify`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from forensics.cascade.definition import bundled_models
from forensics.cli.main import GivenPath, exit_with
from forensics.cli.output import stdout
from forensics.errors import EXIT_INCOMPLETE, VerificationError
from forensics.hashes import sha256_of
from forensics.runlog.verify import SUMS_NAME, extent_of, verify_run


@click.command(
    "verify",
    epilog="""\b
Examples:
  forensics verify RUN
  forensics verify RUN --no-footage     the footage is elsewhere; check the log alone

Exit code 3: every hash is as recorded, but the scan has not come to its end, or some footage was
not scanned. Exit code 4: something is not as recorded, or came after the scan.""",
)
@click.argument("folder", metavar="RUN", type=GivenPath())
@click.option("--footage/--no-footage", default=True, help="Hash the input files too.")
def verify_command(folder: Path, footage: bool) -> None:
    """Hash footage, models and log again, and compare with what was recorded."""
    console = stdout()
    checked: Counter[str] = Counter()
    broken = 0
    for finding in verify_run(folder, footage=footage, models=bundled_models()):
        checked[finding.kind] += 1
        if finding.problem:
            broken += 1
            console.print(f"{finding.kind} {finding.name}: {finding.problem}")
    counts = ", ".join(f"{n} {kind}s" for kind, n in sorted(checked.items()))
    if broken:
        raise VerificationError(f"{broken} of {sum(checked.values())} items failed ({counts})")
    console.print(f"verified: {counts}; every hash is as recorded")
    # Whoever can change a run can change its list of hashes; one hash kept elsewhere settles it.
    console.print(f"SHA-256 of {SUMS_NAME}: {sha256_of(folder / SUMS_NAME)}")
    extent = extent_of(folder)
    console.print(
        f"status of the scan: {extent.status}; of {extent.files} files, {extent.not_hashed} have "
        f"no hash and {extent.not_scanned} were not scanned completely"
    )
    if not extent.whole:
        exit_with(EXIT_INCOMPLETE)
