"""The README's examples run as written, in order, on the bundled sample."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.examples import SCAN, Done, run_example

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [line[2:] for line in README.splitlines() if line.startswith("$ forensics ")]
Examples = dict[str, Done]
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="session")
def examples(sample_scan: tuple[Path, Done]) -> Examples:
    """Every command of the README, run in one folder where `footage` is the sample."""
    folder, scanned = sample_scan
    results = {SCAN: scanned}
    for command in COMMANDS:
        if command != SCAN:
            results[command] = run_example(command, folder)
    results["folder"] = subprocess.CompletedProcess(str(folder), 0)
    return results


def test_commands_are_found() -> None:
    assert len(COMMANDS) >= 8
    assert SCAN in COMMANDS
    assert PYTHON


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs(command: str, examples: Examples) -> None:
    done = examples[command]
    assert done.returncode == 0, done.stderr
    assert done.stdout or "--out" in command


def test_python_runs(examples: Examples) -> None:
    folder = str(examples["folder"].args)
    for code in PYTHON:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "detector_score" in done.stdout


def test_sample_figures(examples: Examples, update_goldens: bool) -> None:
    """Both arms' counts on the sample are those kept, within what other CPUs may change."""
    folder = Path(str(examples["folder"].args))
    result = json.loads((folder / "result.json").read_text())
    counts = {
        f"{arm} {level} {name}": result["arms"][arm][level][name]
        for arm in ("detector", "cascade")
        for level, names in {"box": ("tp", "fp", "fn"), "frame": ("tp", "fp", "fn", "tn")}.items()
        for name in names
    }
    golden = ROOT / "tests" / "golden" / "sample.json"
    if update_goldens:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(json.dumps(counts, indent=1) + "\n")
    kept = json.loads(golden.read_text())
    assert counts.keys() == kept.keys()
    for name, value in counts.items():
        assert abs(value - kept[name]) <= max(3, 0.02 * kept[name]), name
    assert sum(counts[f"cascade frame {n}"] for n in ("tp", "fp", "fn", "tn")) == 1168


def test_report_pages(examples: Examples) -> None:
    folder = Path(str(examples["folder"].args))
    judged = (folder / "report.html").read_text()
    assert "planted" in judged
    assert len(judged) < 15_000_000
    blind = (folder / "incidents.html").read_text()
    assert "no proof" in blind or "not proof" in blind
