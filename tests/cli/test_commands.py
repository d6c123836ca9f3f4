"""The command line: help with examples, one line and the right exit code for what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from forensics.cascade.definition import load_cascade
from forensics.cli.main import COMMANDS, run
from forensics.errors import (
    EXIT_EXPECTED,
    EXIT_INCOMPLETE,
    EXIT_OK,
    EXIT_UNVERIFIED,
    EXIT_USAGE,
)
from tests.support.clips import write_clip, write_still
from tests.support.scans import IMGSZ

SMALL = ["--imgsz", str(IMGSZ), "--detector-only", "--backend", "onnxruntime"]
Said = tuple[int, str, str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Said:
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.out, said.err

    return call


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples(say, command: str) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = say(command, "--help")
    assert code == EXIT_OK
    assert "Usage:" in out
    assert f"forensics {command}" in out.partition("Examples:")[2]


def test_the_group_lists_every_command(say) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = say("--help")
    assert code == EXIT_OK
    for command in COMMANDS:
        assert command in out


def test_help_loads_no_network() -> None:
    code = "import sys; from forensics.cli.main import run; run(['scan', '--help'])\n"
    code += "sys.exit(any(m in sys.modules for m in ('openvino', 'onnxruntime')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


CASCADES = (
    ("scan", ".", "--out", "run", "--cascade"),
    ("mine", "run", "--out", "crops", "--cascade"),
    ("threshold", "run", "--truth", "t.csv", "--min-recall", "0.5", "--out", "new", "--cascade"),
    ("retrain", "--fit", "fit", "--run", "run", "--labels", "said.csv", "--out", "fit2"),
    ("export", "--to", "tensorrt", "--cascade"),
    ("export", "--out", "new", "--base"),
    ("export", "--out", "new", "--detector"),
    ("export", "--out", "new", "--classifier"),
)


@pytest.mark.parametrize("command", CASCADES, ids=lambda words: f"{words[0]} {words[-1]}")
def test_a_cascade_is_given_by_one_rule(
    say, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    """A bundled name, or a folder with a / in it: a bare folder's name may be bundled one day."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "cascade.toml").write_text("no cascade")
    code, _, error = say(*command, "mine")
    assert code == EXIT_EXPECTED and "write ./mine" in error
    code, _, error = say(*command, "./mine")
    assert code != EXIT_OK and "write ./mine" not in error


BAD: list[tuple[Sequence[str], int, str]] = [
    (["scan", "missing.mp4", "--out", "run"], EXIT_EXPECTED, "missing.mp4: No such file"),
    (["scan", ".", "--out", "run"], EXIT_EXPECTED, "no footage found"),
    (["scan", "clip.mp4"], EXIT_USAGE, "--out"),
    (["scan", "--out", "run"], EXIT_USAGE, "PATHS"),
    (["scan", "", "--out", "run"], EXIT_USAGE, "the path is empty"),
    (["scan", "clip.mp4", "--out", ""], EXIT_USAGE, "the path is empty"),
    (["probe", ""], EXIT_USAGE, "the path is empty"),
    (["verify", ""], EXIT_USAGE, "the path is empty"),
    (["scan", "clip.mp4", "--out", "run", "--cascade", "sword"], EXIT_EXPECTED, "bundled"),
    (["scan", "clip.mp4", "--out", "run", "--backend", "abacus"], EXIT_USAGE, "abacus"),
    (["scan", "clip.mp4", "--out", "run", "--precision", "int3"], EXIT_EXPECTED, "int3"),
    (["scan", "clip.mp4", "--out", "run", "--gate", "high"], EXIT_USAGE, "--gate"),
    (["scan", "clip.mp4", "--out", "run", "--gate", "nan"], EXIT_USAGE, "--gate"),
    (["scan", "clip.mp4", "--out", "run", "--floor", "2"], EXIT_USAGE, "--floor"),
    (["scan", "clip.mp4", "--out", "run", "--floor", "nan"], EXIT_USAGE, "--floor"),
    (["scan", "clip.mp4", "--out", "run", "--floor", "0.9"], EXIT_EXPECTED, "floor"),
    (["scan", "clip.mp4", "--out", "run", "--time-sample", "0"], EXIT_USAGE, "--time-sample"),
    (["scan", "clip.mp4", "--out", "run", "--time-sample", "nan"], EXIT_USAGE, "--time-sample"),
    (["scan", "clip.mp4", "--out", "run", "--imgsz", "100"], EXIT_USAGE, "--imgsz"),
    (["scan", "clip.mp4", "--out", "run", "--tiles", "two"], EXIT_USAGE, "2x2"),
    (["scan", "clip.mp4", "--out", "run", "--tiles", "0x2"], EXIT_USAGE, "2x2"),
    (["scan", "clip.mp4", "--out", "run", "--tiles", "40x40"], EXIT_EXPECTED, "fewer --tiles"),
    (["scan", "clip.mp4", "--out", "run", "--tile-overlap", "0.2"], EXIT_USAGE, "needs --tiles"),
    (
        ["scan", "clip.mp4", "--out", "run", "--tiles", "2", "--tile-overlap", "nan"],
        EXIT_USAGE,
        "no number",
    ),
    (
        ["scan", "clip.mp4", "--out", "run", "--tiles", "2", "--tile-overlap", "0.7"],
        EXIT_USAGE,
        "--tile-overlap",
    ),
    (["scan", "clip.mp4", "--out", "run", "--camera", "("], EXIT_EXPECTED, "--camera"),
    (["scan", "clip.mp4", "--out", "clip.mp4"], EXIT_EXPECTED, "cannot write to clip.mp4"),
    (
        ["scan", "clip.mp4", "--out", "run", "--frame-sample", "2", "--time-sample", "1"],
        EXIT_USAGE,
        "give one of",
    ),
    (["probe", "missing"], EXIT_EXPECTED, "missing: No such file"),
    (["verify", "missing"], EXIT_EXPECTED, "not a run folder"),
    (["verify", "clip.mp4"], EXIT_EXPECTED, "not a run folder"),
    (["evaluate", "missing", "--truth", "clip.mp4"], EXIT_EXPECTED, "missing"),
    (["report", "missing"], EXIT_EXPECTED, "missing"),
    (["dance"], EXIT_USAGE, "dance"),
]


@pytest.mark.parametrize(("arguments", "code", "complaint"), BAD)
def test_what_goes_wrong_is_one_line(  # type: ignore[no-untyped-def]
    say, tmp_path: Path, arguments: Sequence[str], code: int, complaint: str
) -> None:
    if "clip.mp4" in arguments:
        write_clip(tmp_path / "clip.mp4", frames=3)
    found, _, err = say(*arguments)
    assert found == code, err
    assert complaint in err
    if code == EXIT_EXPECTED:
        assert err.startswith("error: ")
        assert err.count("\n") == 1
    assert not (tmp_path / "run" / "ledger.sqlite").exists()


def test_scan_probe_verify(say, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "in").mkdir()
    write_clip(tmp_path / "in" / "a.mp4", frames=12)
    (tmp_path / "in" / "a.rec").write_text("perhaps footage too")
    code, out, _ = say("scan", "in", "--out", "run", *SMALL)
    assert code == EXIT_OK
    assert "1 files of 1 cameras; backend: onnxruntime" in out
    cascade = load_cascade("handgun")
    said = f"cascade: handgun {cascade.version} (bundled), SHA-256 of cascade.toml: "
    assert said + cascade.sha256[:16] in out
    assert "12 frames in" in out
    assert "passed over, by their endings: .rec 1" in out
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["passed_over"] == {".rec": 1}
    code, out, _ = say("verify", "run")
    assert code == EXIT_OK
    assert "verified: 1 input, 1 model, 2 parts, 5 tables" in out.replace(
        "1 inputs", "1 input"
    ).replace("1 models", "1 model")
    assert "SHA-256 of SHA256SUMS: " in out
    assert "status of the scan: complete; of 1 files, 0 have no hash and 0 were not" in out
    (tmp_path / "in" / "b.mp4").write_text("nothing")
    code, out, err = say("scan", "in", "--out", "run", *SMALL)
    assert code == EXIT_INCOMPLETE
    assert "b.mp4: unreadable" in out.splitlines()[-2]
    assert "1 of 2 files were not scanned completely" in out.splitlines()[-1]
    (tmp_path / "in" / "a.mp4").write_bytes(b"changed")
    code, out, err = say("verify", "run")
    assert code == EXIT_UNVERIFIED
    assert "input a.mp4: SHA-256 is" in out
    code, out, _ = say("verify", "run", "--no-footage")
    assert code == EXIT_INCOMPLETE
    assert out.splitlines()[-1] == (
        "status of the scan: complete; of 2 files, 0 have no hash and 1 were not scanned completely"
    )
    code, _, err = say("scan", "in", "--out", "run", *SMALL)
    assert code == EXIT_EXPECTED
    assert "has changed since it was scanned" in err
    assert say("scan", "in", "--out", "run", "--overwrite", *SMALL)[0] == EXIT_INCOMPLETE


def test_a_demo_of_a_relative_sample_verifies_anywhere(  # type: ignore[no-untyped-def]
    say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sample" / "truth").mkdir(parents=True)
    write_clip(tmp_path / "sample" / "a.mp4", frames=5)
    spans = "file,start_s,end_s,class\na.mp4,0,0.1,gun\n"
    (tmp_path / "sample" / "truth" / "spans.csv").write_text(spans)
    code, out, err = say("demo", "--sample", "sample", "--out", "run")
    assert code == EXIT_OK, err
    assert "report: " in out
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, _ = say("verify", "../run")
    assert code == EXIT_OK, out


def test_probe_prints_json(say, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_clip(tmp_path / "a.mp4", frames=12)
    (tmp_path / "b.mp4").write_text("nothing")
    code, out, _ = say("probe", ".", "--format", "json", "--count")
    rows = {row["path"]: row for row in json.loads(out)}
    assert code == EXIT_INCOMPLETE
    assert (rows["a.mp4"]["status"], rows["a.mp4"]["frames_decoded"]) == ("ok", 12)
    assert rows["b.mp4"]["status"] == "unreadable"
    code, out, _ = say("probe", "a.mp4")
    assert code == EXIT_OK
    assert "h264" in out


def test_probe_calls_nothing_sound_that_it_did_not_decode(say, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_clip(tmp_path / "whole.ts", frames=40)
    write_still(tmp_path / "still.png", 1)
    data = (tmp_path / "whole.ts").read_bytes()
    (tmp_path / "cut.ts").write_bytes(data[: len(data) * 2 // 3 + 50])
    code, out, _ = say("probe", ".")
    said = {line.split()[0]: line.rstrip() for line in out.splitlines()}
    assert code == EXIT_OK
    for name in ("whole.ts", "cut.ts"):
        assert said[name].endswith("not checked")
    assert said["still.png"].endswith("ok")
    code, out, _ = say("probe", ".", "--count", "--format", "json")
    status = {row["path"]: row["status"] for row in json.loads(out)}
    assert status["whole.ts"] == "ok"
    code, out, _ = say("probe", ".", "--format", "json")
    assert {row["status"] for row in json.loads(out)} == {"ok", "not checked"}
    assert "not checked" in say("probe", "--help")[1]


def shell(line: str, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a bash line in which "$@" are the command and `arguments`, pipes failing as they do."""
    words = [sys.executable, "-m", "forensics.cli.main", *map(str, arguments)]
    whole = ["bash", "-c", f"set -o pipefail; {line}", "bash", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        whole, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "line",
    [
        '"$@" 2>&1 | head -1',
        '"$@" 2>&1 | true',
        '"$@" 2>&-',
        '"$@" >&- 2>&-',
        '"$@" <&- >&- 2>&-',
        '"$@" 2>/dev/full',
        '"$@" >/dev/full 2>/dev/full',
        '"$@" 2> >(true)',
    ],
)
def test_a_scan_goes_on_where_nobody_looks(tmp_path: Path, line: str) -> None:
    """Showing is not the job; the one file that cannot be read is still told by the exit code."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.mp4").write_text("nothing")
    write_clip(tmp_path / "in" / "a.mp4", frames=12)
    done = shell(line, "scan", "in", "--out", "run", *SMALL, folder=tmp_path)
    assert done.returncode == EXIT_INCOMPLETE, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (tmp_path / "run" / "SHA256SUMS").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["status"] == "complete"


def test_errors_that_nobody_reads_keep_their_exit_code(tmp_path: Path) -> None:
    for line in ('"$@" 2>&1 | true', '"$@" 2>&-', '"$@" 2>/dev/full'):
        done = shell(line, "verify", "missing", folder=tmp_path)
        assert done.returncode == EXIT_EXPECTED
        done = shell(line, "dance", folder=tmp_path)
        assert done.returncode == EXIT_USAGE


def test_head_is_no_failure_but_a_full_disk_is(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", frames=3)
    assert shell('"$@" | true', "probe", "a.mp4", folder=tmp_path).returncode == EXIT_OK
    assert shell('"$@" >/dev/full', "probe", "a.mp4", folder=tmp_path).returncode != EXIT_OK


def test_names_are_printed_as_they_are(say, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    names = ["[red]b.mp4", "rec:100:.mp4", ":smile:.mp4", "a[bold].mp4"]
    folder = tmp_path / "in"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"nothing in {name}")
    (folder / "x[").mkdir()
    (folder / "x[" / "a].mp4").write_text("nothing")
    code, out, err = say("probe", folder, "--recursive")
    assert code == EXIT_INCOMPLETE, err
    for name in (*names, "x[/a].mp4"):
        assert f"{name} " in out
    code, out, err = say("scan", folder, "--recursive", "--out", "r:100:[/x]", *SMALL)
    assert code == EXIT_INCOMPLETE, err
    for name in (*names, "x[/a].mp4"):
        assert f"  {name}: unreadable" in out
        assert f"{name}: unreadable" in err.replace("\n", "")
    assert "run folder r:100:[/x]" in out


def test_any_name_can_be_printed(tmp_path: Path) -> None:
    """Also where the terminal takes no odd bytes, and also in the name of the run folder."""
    folder = os.path.join(os.fsencode(tmp_path), b"in\xff")
    os.mkdir(folder)
    with open(os.path.join(folder, b"bad\xfe\x1b[2J.mp4"), "wb") as stream:
        stream.write(b"nothing")
    out = os.path.join(os.fsencode(tmp_path), b"run\xff")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "COLUMNS": "200"}
    command = [sys.executable, "-m", "forensics.cli.main"]
    for arguments, wanted in (
        ([b"probe", folder], EXIT_INCOMPLETE),
        ([b"scan", folder, b"--out", out, *map(str.encode, SMALL)], EXIT_INCOMPLETE),
        ([b"verify", out], EXIT_INCOMPLETE),
        ([b"scan", folder + b"missing", b"--out", out], EXIT_EXPECTED),
        ([b"verify", out + b"missing"], EXIT_EXPECTED),
    ):
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True)
        assert done.returncode == wanted, done.stderr.decode("utf-8", "replace")
        assert b"Traceback" not in done.stderr
        assert b"\x1b[2J" not in done.stdout + done.stderr
