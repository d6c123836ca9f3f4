"""Run a command as the README writes it, in a folder where `footage` is the bundled sample."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.support.data import ROOT

SCAN = "forensics scan footage --out RUN"
Done = subprocess.CompletedProcess[str]


def sample_folder(folder: Path) -> Path:
    """The folder, with the sample in it as `footage`."""
    (folder / "footage").symlink_to(ROOT / "datasets" / "sample")
    return folder


def run_example(command: str, folder: Path) -> Done:
    """Run a command that begins with `forensics`."""
    return subprocess.run(
        [sys.executable, "-m", "forensics.cli.main", *shlex.split(command)[1:]],
        cwd=folder,
        env=os.environ | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
