"""`make bench`: python -m forensics.bench [--rounds 5] [--seconds 6] [--parts ...] [--write]."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

import forensics
from forensics.bench import peer
from forensics.bench.files import write_report
from forensics.bench.page import table
from forensics.bench.run import DEFAULT_PARTS, PARTS, BenchOptions, run_bench
from forensics.errors import ForensicsError

ROOT = Path(forensics.__file__).resolve().parent.parent
DEFAULT_SOURCE = ROOT / "datasets" / "sample" / "gate-plain.mp4"
REPORTS = ROOT / "reports"


def main() -> None:
    """Measure, print the tables; with --write keep them under reports/."""
    given = _parser().parse_args()
    data = os.environ.get("FORENSICS_DATA")
    try:
        options = BenchOptions(
            source=given.source,
            rounds=given.rounds,
            seconds=given.seconds,
            backend=given.backend,
            peers=tuple(given.peers),
            minutes=tuple(given.minutes),
            parts=tuple(given.parts),
            data=Path(data) if data else None,
        )
        figures = run_bench(options, lambda line: print(line, flush=True))
    except ForensicsError as error:
        raise SystemExit(f"error: {error}") from error
    figures["command"] = f"python -m forensics.bench {shlex.join(sys.argv[1:])}".strip()
    print(table(figures))
    if given.write:
        write_report(figures, REPORTS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="forensics.bench", description=__doc__)
    parser.add_argument("--source", type=Path, default=DEFAULT_SOURCE, help="gun-free footage")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6, help="length of the clip")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--peers", nargs="*", default=peer.ENGINES, help="none leaves them out")
    parser.add_argument("--minutes", nargs="*", type=int, default=(1, 4, 16), help="of `length`")
    parser.add_argument("--parts", nargs="*", default=DEFAULT_PARTS, help=", ".join(PARTS))
    parser.add_argument("--write", action="store_true", help="write reports/benchmarks.*")
    return parser


if __name__ == "__main__":
    main()
