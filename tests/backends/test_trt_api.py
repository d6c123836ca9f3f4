"""The names that the TensorRT backend calls exist in TensorRT 10, 11 and, run here, RTX."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import forensics
from tests.backends.trt_api import CALLED, CALLED_OF_RTX, members

API: dict[str, dict[str, list[str]]] = json.loads(
    Path(__file__).with_name("trt_api.json").read_text()
)
SOURCES = sorted(Path(forensics.__file__).parent.glob("backends/trt*.py"))
# Also names of TensorRT's, but here they are of our own objects.
OURS = {"name", "value", "flags", "engine", "logger"}


def test_both_majors_are_listed() -> None:
    assert {version.partition(".")[0] for version in API} == {"10", "11"}


@pytest.mark.parametrize("version", API)
@pytest.mark.parametrize("owner", CALLED)
def test_names_exist(version: str, owner: str) -> None:
    assert CALLED[owner] <= set(API[version][owner])


def test_names_exist_in_rtx() -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra `gpu` is not installed")
    found = members("tensorrt_rtx")
    for owner, names in CALLED.items():
        assert names <= set(found[owner]), owner
    import tensorrt_rtx

    for owner, names in CALLED_OF_RTX.items():
        assert names <= set(dir(getattr(tensorrt_rtx, owner) if owner else tensorrt_rtx)), owner


def test_no_called_name_is_left_out() -> None:
    """Every attribute in the backend's source that could be TensorRT's is in the lists."""
    theirs = {name for owners in API.values() for names in owners.values() for name in names}
    listed = set().union(*CALLED.values(), *CALLED_OF_RTX.values())
    used = {
        node.attr
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert len(SOURCES) == 3
    assert (used & theirs) - OURS <= listed
    assert {"execute_async_v3", "build_serialized_network", "parse"} <= used
