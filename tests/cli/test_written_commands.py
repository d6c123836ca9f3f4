"""Commands that are written down but too long to run here name only options that exist."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from forensics.cli.main import run

ROOT = Path(__file__).parents[2]
HANDGUN = ROOT / "datasets" / "handgun"
BUILD = (HANDGUN / "build.sh").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
COMMAND = re.compile(r"^ *forensics ((?:train )?[a-z]+)(?= |$)(.*)$", re.MULTILINE)


def commands(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Each command of a shell text with its options, whatever lines they stand on."""
    joined = re.sub(r"\\\n", " ", text)
    found = COMMAND.findall(re.sub(r"#.*$", "", joined, flags=re.MULTILINE))
    return [(name, tuple(re.findall(r"(?<=\s)--[a-z0-9-]+", rest))) for name, rest in found]


WRITTEN = sorted({one for text in (BUILD, *SHELL) for one in commands(text)})


def test_the_whole_way_is_written() -> None:
    steps = ["train detector", "mine", "train classifier", "export"]
    assert set(steps) <= {name for name, _ in commands(BUILD)}
    readme = {name for text in SHELL for name, _ in commands(text)}
    assert {*steps, "group", "calibrate", "retrain", "scan"} <= readme
    assert sum(len(options) for _, options in WRITTEN) > 40


@pytest.mark.parametrize(("name", "options"), WRITTEN)
def test_options_exist(
    name: str, options: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([*name.split(), "--help"]) == 0
    known = set(re.findall(r"--[a-z0-9-]+", capfd.readouterr().out))
    assert set(options) <= known


def test_the_build_script_is_sound_shell() -> None:
    done = subprocess.run(["bash", "-n", HANDGUN / "build.sh"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_held_out_is_said_alike() -> None:
    """Both trainings hold the same back, and build.sh chooses on clips that no network has seen."""
    whole, small = (
        tomllib.loads((HANDGUN / name).read_text())
        for name in ("detector.toml", "detector-small.toml")
    )
    assert (whole["seed"], whole["val_share"]) == (small["seed"], small["val_share"])
    held_out = _left_out(small, "footage")
    assert _left_out(whole, "footage") == held_out
    assert _left_out(whole, "cctv-weapons") <= _left_out(small, "cctv-weapons")
    choosing = BUILD[BUILD.index("# 6.") : BUILD.index("# 7.")]
    chosen_on = re.findall(r'"\$ORDINARY"?/([^ "]+)', choosing)
    assert chosen_on == ["nofi??[05].mp4"]
    mining = BUILD[BUILD.index("# 3.") : BUILD.index("# 4.")]
    mined = re.findall(r'"\$ORDINARY"?/([^ "{]+)', mining)
    assert mined == ["nofi??[124679].mp4", "cup.mp4"]
    for clip in ("nofi000.mp4", "nofi015.mp4"):
        assert any(fnmatch.fnmatchcase(clip, pattern) for pattern in chosen_on)
        assert any(fnmatch.fnmatchcase(clip, pattern) for pattern in held_out)
        assert not any(fnmatch.fnmatchcase(clip, pattern) for pattern in mined)


def _left_out(config: dict[str, Any], name: str) -> set[str]:
    return set(next(source for source in config["source"] if source["name"] == name)["leave_out"])
