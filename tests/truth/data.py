"""Where the real data lie; tests that need them are skipped, with this reason, without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("FORENSICS_DATA", ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "footage" / "truth").is_dir(), reason="no real data (set FORENSICS_DATA)"
)
