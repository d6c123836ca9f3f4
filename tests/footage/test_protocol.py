"""The parent believes nothing that the child says without a check."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.footage import protocol
from forensics.footage.protocol import DecodeRequest, Sampling
from forensics.footage.reader import Ended
from forensics.tiling import Tiling
from forensics.types import Status
from tests.support.children import replace_child
from tests.support.decoding import Decoding, decode

INFO = {
    "container": "avi",
    "codec": "h264",
    "width": 64,
    "height": 64,
    "pixel_format": "yuv420p",
    "rotation": 0,
    "time_base": [1, 25],
    "frame_rate_header": 25.0,
    "frames_header": 3,
    "duration_s": 1.0,
    "start_time_s": 0.0,
}
OPENED = {"type": "opened", "item": 0, "info": INFO}
SEGMENT = {"type": "segment", "number": 0, "index": 0, "pts": 0}
SLOT_BYTES = 64 * 64 * 3 + 64 * 64 * 3
GROW = {"type": "grow", "slot_bytes": SLOT_BYTES}
FRAME = {
    "type": "frame",
    "slot": 0,
    "index": 0,
    "pts": 0,
    "keyframe": True,
    "suspect": False,
    "layout": ["rgb24", 64, 64, 1, 1],
}
ENDED = {"type": "ended", "status": "ok", "reason": "", "frames_decoded": 1, "last_pts": 0}
PREFIX = [OPENED, SEGMENT, GROW]
HUGE = 10**30


def say(monkeypatch: pytest.MonkeyPatch, folder: Path, *lines: Any) -> Decoding:
    """Decode with a child that sends `lines` (messages, or raw text) and leaves."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    script = folder / "child.py"
    script.write_text(f"import sys\nsys.stdout.write({chr(10).join(texts)!r} + chr(10))\n")
    replace_child(monkeypatch, [sys.executable, str(script)])
    return decode(folder / "any.mp4", silence_s=20)


def test_a_well_behaved_child_is_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = say(monkeypatch, tmp_path, *PREFIX, FRAME, ENDED)
    assert len(seen.frames) == 1
    assert seen.end == Ended(Status.OK, "", {"frames_decoded": 1, "last_pts": 0})


LIES: dict[str, list[Any]] = {
    "no json": ["{nonsense"],
    "no object": ["[1, 2]"],
    "no type": [{"kind": "frame"}],
    "unknown type": [{"type": "exec"}],
    "deep nesting": ["[" * 200_000],
    "endless number": ['{"type": "grow", "slot_bytes": ' + "9" * 5000 + "}"],
    "not a number": ['{"type": "grow", "slot_bytes": NaN}'],
    "infinite": ['{"type": "grow", "slot_bytes": Infinity}'],
    "grow to nothing": [{"type": "grow", "slot_bytes": 0}],
    "grow beyond reason": [{"type": "grow", "slot_bytes": HUGE}],
    "grow below zero": [{"type": "grow", "slot_bytes": -5}],
    "frame without memory": [OPENED, SEGMENT, FRAME],
    "slot beyond": [*PREFIX, FRAME | {"slot": 99}],
    "slot below": [*PREFIX, FRAME | {"slot": -1}],
    "slot no number": [*PREFIX, FRAME | {"slot": "0"}],
    "slot true": [*PREFIX, FRAME | {"slot": True}],
    "index huge": [*PREFIX, FRAME | {"index": HUGE}],
    "index below": [*PREFIX, FRAME | {"index": -1}],
    "index repeated": [*PREFIX, FRAME, FRAME | {"slot": 1}],
    "index goes back": [*PREFIX, FRAME | {"index": 5}, FRAME | {"slot": 1, "index": 4}],
    "pts huge": [*PREFIX, FRAME | {"pts": HUGE}],
    "pts text": [*PREFIX, FRAME | {"pts": "0"}],
    "picture larger": [*PREFIX, FRAME | {"layout": ["rgb24", 65, 64, 1, 1]}],
    "picture overflowing": [*PREFIX, FRAME | {"layout": ["rgb24", 1 << 40, 1 << 40, 1, 1]}],
    "picture empty": [*PREFIX, FRAME | {"layout": ["rgb24", 0, 64, 1, 1]}],
    "picture negative": [*PREFIX, FRAME | {"layout": ["rgb24", -64, -64, 1, 1]}],
    "picture odd": [*PREFIX, FRAME | {"layout": ["yuv420p", 63, 63, 1, 1]}],
    "picture of another kind": [*PREFIX, FRAME | {"layout": ["pal8", 64, 64, 1, 1]}],
    "layout short": [*PREFIX, FRAME | {"layout": ["rgb24", 64]}],
    "layout missing": [*PREFIX, {k: v for k, v in FRAME.items() if k != "layout"}],
    "keyframe no truth": [*PREFIX, FRAME | {"keyframe": 7}],
    "segment again": [*PREFIX, SEGMENT],
    "segment skipped": [OPENED, SEGMENT | {"number": 3}],
    "segment goes back": [*PREFIX, FRAME | {"index": 9}, SEGMENT | {"number": 1, "index": 2}],
    "time base zero": [OPENED | {"info": INFO | {"time_base": [1, 0]}}],
    "time base huge": [OPENED | {"info": INFO | {"time_base": [HUGE, 1]}}],
    "width text": [OPENED | {"info": INFO | {"width": "64"}}],
    "duration huge": [OPENED | {"info": INFO | {"duration_s": 10**400}}],
    "unknown fact in header": [OPENED | {"info": {}}],
    "item beyond": [OPENED | {"item": 1}],
    "status unknown": [{"type": "ended", "status": "fine", "reason": ""}],
    "facts of the wrong kind": [ENDED | {"frames_decoded": "many"}],
    "facts negative": [ENDED | {"frames_suspect": -1}],
    "facts huge": [ENDED | {"last_pts": HUGE}],
    "reason no text": [{"type": "ended", "status": "ok", "reason": 5}],
    "still beyond": [
        {"type": "still", "item": 4, "status": "ok", "reason": "", "rotation": 0}
    ],
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_end_the_file_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lie: str
) -> None:
    seen = say(monkeypatch, tmp_path, *LIES[lie], *PREFIX, ENDED)
    assert seen.end.status is Status.CRASHED
    assert "nonsense" in seen.end.reason
    assert seen.end.reason.isprintable()


def test_an_endless_line_is_cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = say(monkeypatch, tmp_path, "x" * (3 * protocol.MAX_LINE_BYTES))
    assert seen.end.status is Status.CRASHED
    assert "endless" in seen.end.reason


def test_a_picture_with_unknown_colours_is_shown_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    odd = FRAME | {"layout": ["yuv420p", 64, 64, 250, 250]}
    seen = say(monkeypatch, tmp_path, *PREFIX, odd, ENDED)
    assert seen.end.status is Status.OK
    assert seen.frames[0].rgb.shape == (64, 64, 3)


def test_reasons_are_printable_whatever_the_file_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hostile = {"type": "ended", "status": "unreadable", "reason": "\x1b[2J\udcff\n‮" * 900}
    reason = say(monkeypatch, tmp_path, hostile).end.reason
    assert reason.isprintable()
    assert reason.encode("utf-8")
    assert len(reason) < 10_000


@given(
    paths=st.lists(st.text(st.characters(codec=None, exclude_characters="\0")), min_size=1),
    wanted=st.none() | st.lists(st.integers(0, 1000)).map(tuple),
    step=st.integers(1, 100),
    tiling=st.builds(Tiling, st.integers(1, 9), st.integers(1, 9), st.floats(0, 0.5)),
)
def test_requests_survive_the_wire(
    paths: list[str], wanted: tuple[int, ...] | None, step: int, tiling: Tiling
) -> None:
    request = DecodeRequest(
        tuple(paths), False, 640, 50_000_000, 60.0, Sampling(step), tiling, wanted=wanted
    )
    line = request.to_line()
    assert line.count(b"\n") == 1
    assert DecodeRequest.from_message(protocol.decode(line)) == request


@given(st.text())
def test_any_text_becomes_printable(value: str) -> None:
    assert protocol.text(value).isprintable()
