"""Where the real footage lies. Tests that need it are skipped, with this reason, without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("FORENSICS_DATA", ROOT.parent / "shared" / "data"))
FOOTAGE = DATA / "footage"
needs_footage = pytest.mark.skipif(
    not (FOOTAGE / "ordinary").is_dir(), reason="no real footage (set FORENSICS_DATA)"
)
