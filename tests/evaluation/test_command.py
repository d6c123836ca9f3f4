"""`forensics evaluate` from the outside, on a run built in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.cli import evaluate as module
from forensics.cli.evaluate import evaluate_command
from forensics.errors import TruthError

from .helpers import Clip, make_run

G = (0, 0, 10, 10)
SPANS = "file,start_s,end_s,class\na.mp4,0,0.5,weapon\na.mp4,0.5,9,none\n"


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = make_run(Clip("a.mp4", 10, detections={i: [(G, 0.6, 0.9)] for i in (1, 8)}))
    monkeypatch.setattr(module, "open_run", lambda path: run)
    (tmp_path / "spans.csv").write_text(SPANS)

    def call(*options: str):
        arguments = ["RUN", "--truth", str(tmp_path / "spans.csv"), *options]
        return CliRunner().invoke(evaluate_command, arguments)

    return call


def test_json_holds_the_figures_at_the_given_thresholds(invoke) -> None:
    options = ("--class-map", "weapon=gun", "--format", "json")
    result = invoke(*options, "--detector-threshold", "0.7", "--confirm", "2/3")
    figures = json.loads(result.output)
    assert figures["operating_point"] == {"detector": 0.7, "classifier": 0.5}
    assert figures["rules"]["confirm"] == "2/3"
    assert figures["arms"]["detector"]["frame"]["tp"] == 0
    assert json.loads(invoke(*options).output)["arms"]["detector"]["frame"]["tp"] == 1


def test_the_table_names_both_arms_and_says_what_is_undefined(invoke, tmp_path: Path) -> None:
    result = invoke("--class-map", "weapon=gun")
    assert result.exit_code == 0
    for words in ("detector", "cascade", "per million", "n/a", "cannot say", "at frame level"):
        assert words in result.output
    invoke("--class-map", "weapon=gun", "--out", str(tmp_path / "table.txt"))
    assert (tmp_path / "table.txt").read_text() == result.output


def test_a_list_of_planted_files_beside_the_truth_reaches_json_and_text(
    invoke, tmp_path: Path
) -> None:
    def planted(*options: str):
        result = invoke("--class-map", "weapon=gun", *options)
        return json.loads(result.output)["planted"] if options else result.output

    assert planted("--format", "json")["frames"] == 0 and "planted" not in planted()
    (tmp_path / "sample.toml").write_text('planted = ["a.mp4"]\n')
    found = planted("--format", "json")
    assert (found["frames"], found["incidents"], found["media"]) == (5, 1, 1)
    assert "planted: in 5 of 5 positive frames" in " ".join(planted().split())


def test_expected_errors_pass_through_to_the_one_boundary(invoke) -> None:
    error = invoke().exception
    assert isinstance(error, TruthError) and "--class-map weapon=gun" in str(error)


def test_the_classifier_can_be_switched_off(invoke) -> None:
    result = invoke(
        "--class-map", "weapon=gun", "--classifier-threshold", "off", "--format", "json"
    )
    figures = json.loads(result.output)
    assert figures["operating_point"] == {"detector": 0.5, "classifier": None}
    assert figures["arms"]["cascade"] is None


@pytest.mark.parametrize(
    "options",
    [
        ("--class-map", "weapon"),
        ("--confirm", "5/3"),
        ("--detector-threshold", "2"),
        ("--classifier-threshold", "1.5"),
        ("--classifier-threshold", "none"),
    ],
)
def test_wrong_options_are_usage_errors(invoke, options) -> None:
    assert invoke(*options).exit_code == 2


def test_help_shows_examples() -> None:
    assert "--class-map 1=gun" in CliRunner().invoke(evaluate_command, ["--help"]).output
