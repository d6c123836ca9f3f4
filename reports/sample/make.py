"""Make the report of the bundled sample anew: `make sample-report`, from the checkout's root.

Without a run folder the sample is scanned first. Paths of this machine are left out of the page.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path, PurePath

from forensics.report import Options
from forensics.report.page import read_truth, write_report
from forensics.runlog.reader import RunTables, open_run

SAMPLE = Path("datasets", "sample")
OUT = Path("reports", "sample", "report.html")
PICTURES = 8  # of each list: the page is kept in the repository


def scanned(folder: Path) -> Path:
    """Scan the sample into `folder`."""
    command = [
        sys.executable,
        "-m",
        "forensics.cli.main",
        "scan",
        str(SAMPLE),
        "--out",
        str(folder),
    ]
    subprocess.run(command, check=True)
    return folder


def portable(run: RunTables) -> RunTables:
    """The run as if it had been made in the checkout's root, whatever machine that was on."""
    models = [{**model, "path": PurePath(model["path"]).name} for model in run.manifest["models"]]
    argv = ["scan", SAMPLE.as_posix(), "--out", "sample"]
    sessions = [{**session, "argv": argv} for session in run.manifest["sessions"]]
    said = {"models": models, "base": SAMPLE.as_posix(), "argv": argv, "sessions": sessions}
    manifest = {**run.manifest, **said}
    return replace(run, manifest=manifest)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        given = [Path(argument) for argument in sys.argv[1:]]
        folder = given[0] if given else scanned(Path(scratch, "sample"))
        size = write_report(
            portable(open_run(folder)),
            OUT,
            read_truth([SAMPLE / "truth"]),
            options=Options(max_pictures=PICTURES),
        )
    print(f"{OUT} ({size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
