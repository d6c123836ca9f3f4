"""The README's examples run as written, in order, on the bundled sample."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import forensics.report
from forensics.cli.evaluate import evaluate_command
from forensics.report.scripts import report_scripts
from forensics.runlog.reader import open_run
from tests.support.browser import Browser, fits
from tests.support.examples import SCAN, Done, run_example
from tests.support.explorer import assert_equal, go

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


def alike(value: float, kept: float) -> bool:
    """Equal but for what other processors may change."""
    return abs(value - kept) <= max(3, 0.02 * kept)


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
        assert alike(value, kept[name]), name
    assert sum(counts[f"cascade frame {n}"] for n in ("tp", "fp", "fn", "tn")) == 1168


def test_report_pages(examples: Examples) -> None:
    folder = Path(str(examples["folder"].args))
    judged = (folder / "report.html").read_text()
    assert "planted" in judged
    assert len(judged) < 15_000_000
    blind = (folder / "incidents.html").read_text()
    assert "no proof" in blind or "not proof" in blind


def test_explorer_shows_what_evaluate_prints(examples: Examples, browser: Browser) -> None:
    """On the sample: the page's figures at a pair are those of the command that it names."""
    folder = Path(str(examples["folder"].args))
    given = [str(folder / "RUN"), "--truth", str(folder / "footage" / "truth"), "--format", "json"]
    with browser.open(folder / "report.html") as page:
        for places in ((8, 40), (30, 12), (45, 20)):
            point = go(page, *places)
            command = page.locator("#explorer-command").inner_text().split()
            chosen = command[command.index("--detector-threshold") :]
            assert float(chosen[1]) == point.detector and float(chosen[3]) == point.classifier
            printed = CliRunner().invoke(evaluate_command, [*given, *chosen])
            assert printed.exit_code == 0, printed.output
            assert_equal(page, json.loads(printed.stdout))


SAMPLE_REPORT = ROOT / "reports" / "sample" / "report.html"


def kept_json(page: str, name: str) -> dict[str, object]:
    found = re.search(f'<script type="application/json" id="{name}">(.*?)</script>', page)
    assert found is not None
    return json.loads(found[1])


def test_kept_sample_report_is_current(examples: Examples) -> None:
    """`make sample-report` was run after the last change of models, figures, style and scripts."""
    folder = Path(str(examples["folder"].args))
    page = SAMPLE_REPORT.read_text()
    kept = kept_json(page, "evaluation")
    fresh = kept_json((folder / "report.html").read_text(), "evaluation")
    assert kept["denominators"] == fresh["denominators"] and kept["rules"] == fresh["rules"]
    assert kept["operating_point"] == fresh["operating_point"] and kept["notes"] == fresh["notes"]
    for arm in ("detector", "cascade"):
        for level in ("box", "frame", "event"):
            for name, value in fresh["arms"][arm][level].items():
                if isinstance(value, int):
                    assert alike(kept["arms"][arm][level][name], value), (arm, level, name)
    for model in open_run(folder / "RUN").manifest["models"]:
        assert model["sha256"] in page
    style = Path(forensics.report.__file__).parent / "templates" / "report.css"
    for source in (style.read_text().strip(), *report_scripts().sources):
        assert source in page
    assert (
        kept_json(page, "surfaces")["totals"]["negative"] == kept["denominators"]["frames_negative"]
    )
    assert not re.search(r"/(home|root|tmp|Users|work)/", page.replace("</", ""))
    assert len(page) < 4_000_000


@pytest.mark.parametrize("width", [1280, 390])
def test_kept_sample_report_opens(width: int, browser: Browser) -> None:
    with browser.open(SAMPLE_REPORT, width=width) as page:
        assert fits(page)
        go(page, 10, 10)
