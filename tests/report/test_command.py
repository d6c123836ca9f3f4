"""`forensics report` from the outside, on a real scan."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.cli.report import report_command
from forensics.errors import ForensicsError
from forensics.runlog.verify import verify_run

from .helpers import Page

SPANS = "file,start_s,end_s,class\n"


@pytest.fixture
def run(reference_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reference_run, tmp_path / "run"))


def call(*arguments: object):
    return CliRunner().invoke(report_command, [str(a) for a in arguments])


def test_the_report_lies_beside_the_run_and_leaves_its_sums_true(run: Path) -> None:
    before = [f.problem for f in verify_run(run) if f.problem]
    result = call(run, "--detector-threshold", "0.2", "--classifier-threshold", "0")
    assert result.exit_code == 0, result.exception
    page = run.with_name("run-report.html").read_text()
    assert "run-report.html" in result.output and " MB)" in result.output
    assert Page(page).faults == []
    assert [f.problem for f in verify_run(run) if f.problem] == before


def test_the_time_of_writing_can_be_fixed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    call(run, "--out", tmp_path / "a.html")
    call(run, "--out", tmp_path / "b.html", "--seed", 20240229)
    page = (tmp_path / "a.html").read_text()
    assert "2023-11-14T22:13:20Z" in page
    assert page == (tmp_path / "b.html").read_text()


def test_with_truth_the_report_judges(run: Path, tmp_path: Path) -> None:
    from forensics.runlog.reader import open_run

    names = [
        row["path"] for row in open_run(run).media.to_pylist()
        if row["status"] == "ok" and row["kind"] == "video"
    ]  # fmt: skip
    (tmp_path / "spans.csv").write_text(SPANS + "".join(f"{n},0,900,none\n" for n in names))
    result = call(run, "--truth", tmp_path / "spans.csv", "--out", tmp_path / "r.html")
    assert result.exit_code == 0, result.exception
    text = Page((tmp_path / "r.html").read_text()).text
    assert "Verdict" in text["verdict"] and "spans.csv" in text["provenance"]


@pytest.mark.parametrize(
    "options", [("--class-map", "a=b"), ("--truth-format", "coco"), ("--max-pictures", "-1")]
)
def test_wrong_options_are_usage_errors(run: Path, options: tuple[str, ...]) -> None:
    assert call(run, *options).exit_code == 2


def test_expected_errors_pass_to_the_one_boundary(run: Path, tmp_path: Path) -> None:
    assert isinstance(call(tmp_path).exception, ForensicsError)
    assert isinstance(call(run, "--detector-threshold", "0").exception, ForensicsError)


def test_help_shows_examples() -> None:
    assert "--max-pictures 120" in call("--help").output
