"""`forensics export`: which options it needs depends on what it is to make."""

from __future__ import annotations

import pytest

from forensics.cli.main import run

NEEDED = {"detector": "handgun", "calibration": "x", "name": "n", "version": "1", "out": "o"}


@pytest.mark.parametrize("left_out", NEEDED)
def test_a_cascade_needs_them_all(left_out: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = [f"--{name}={value}" for name, value in NEEDED.items() if name != left_out]
    assert run(["export", *given]) == 2
    assert f"Missing option '--{left_out}'" in capsys.readouterr().err


def test_unknown_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--to", "coreml"]) == 2
    assert "tensorrt" in capsys.readouterr().err
