"""Decoding children that misbehave: they die, fall silent or lie at a chosen frame."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forensics.footage import child, reader

ROOT = Path(__file__).parents[2]
VARIABLE = "FORENSICS_TEST_CHILD"


@dataclass(frozen=True)
class Fault:
    """What the child does at frame `frame` of the file `name`, in its first `times` lives."""

    name: str
    how: str  # kill | exit | hang
    frame: int
    times: int
    lives: str  # a file that counts the starts


def misbehave(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """From now on decoders are started with `fault`."""
    monkeypatch.setenv(VARIABLE, json.dumps(asdict(fault)))
    replace_child(monkeypatch, [sys.executable, "-m", "tests.support.children"])


def replace_child(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    """Start `command` with the memory file's number added, instead of the decoding child."""

    def start(usual: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*command, usual[-1]], cwd=ROOT, **options)

    pipes = {"PIPE": subprocess.PIPE, "DEVNULL": subprocess.DEVNULL}
    monkeypatch.setattr(reader, "subprocess", SimpleNamespace(Popen=start, **pipes))


def starts(fault: Fault) -> int:
    """How often a decoder was started for the file."""
    path = Path(fault.lives)
    return len(path.read_text().splitlines()) if path.exists() else 0


def main() -> None:
    fault = Fault(**json.loads(os.environ[VARIABLE]))
    send, decoder = child.send_frame, child.Decoder
    opened: list[str] = []

    def opening(path: str, max_pixels: int) -> Any:
        opened.append(Path(path).name)
        if opened[-1] == fault.name:
            with open(fault.lives, "a") as lives:
                lives.write(f"{os.getpid()}\n")
        return decoder(path, max_pixels)

    def sending(parent: Any, packer: Any, frame: Any) -> Any:
        number = 0 if len(opened) > 1 else frame.index  # stills: the frame is in the name
        if opened[-1] == fault.name and starts(fault) <= fault.times and number >= fault.frame:
            fail(fault.how)
        return send(parent, packer, frame)

    child.Decoder = opening  # type: ignore[assignment, misc]
    child.send_frame = sending
    child.main()


def fail(how: str) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(7)
    time.sleep(600)


if __name__ == "__main__":
    main()
