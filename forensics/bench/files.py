"""Keep a benchmark: JSON, the page made from it, and the picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forensics.bench.page import page, plot
from forensics.errors import BenchError

NAME = "benchmarks"


def write_report(figures: dict[str, Any], folder: Path) -> None:
    """Write benchmarks.json, .md and .svg into `folder`. Raises BenchError."""
    if "speed" not in figures:
        raise BenchError("the page begins with the speed: measure the part `speed` as well")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{NAME}.json").write_text(json.dumps(figures, indent=1) + "\n")
        (folder / f"{NAME}.md").write_text(page(figures))
        (folder / f"{NAME}.svg").write_bytes(plot(figures))
    except OSError as error:
        raise BenchError(f"cannot write to {folder}: {error.strerror}") from error
