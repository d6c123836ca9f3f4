"""The CUDA driver's calls, held to the header that declares them; no GPU is needed for that."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from pathlib import Path

import pytest

from forensics.backends.cuda import MAJOR, MINOR, NON_BLOCKING, SIGNATURES, THREAD_LOCAL
from forensics.backends.cuda import Cuda as Driver
from forensics.errors import BackendError

SIZES = {
    "int": 4,
    "unsigned char": 1,
    "unsigned int": 4,
    "size_t": 8,
    "unsigned long long": 8,
    "CUdevice": 4,
    "CUdeviceptr": 8,
    "CUresult": 4,
    "CUdevice_attribute": 4,
    "CUstreamCaptureMode": 4,
    "CUcontext": 8,
    "CUstream": 8,
    "CUevent": 8,
    "CUgraph": 8,
    "CUgraphExec": 8,
}


@pytest.fixture(scope="module")
def header() -> str:
    """`cuda.h` as a package carries it; PyTorch for Linux brings one."""
    places = [Path("/usr/local/cuda/include/cuda.h")]
    for package in ("triton", "nvidia"):
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            places.extend(sorted(Path(root).glob("**/include/cuda.h")))
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        pytest.skip("no package here carries cuda.h")
    return found.read_text(errors="replace")


def declared(header: str, exported: str) -> list[str]:
    """The argument types of an exported function, without the names of the arguments."""
    plain = exported.removesuffix("_v2")
    if plain != exported:  # the header's plain name must stand for the name we look up
        assert re.search(rf"#define {plain}\s+(__CUDA_API_PTSZ\()?{exported}\b", header), exported
    name = plain
    if not re.search(rf"CUresult CUDAAPI {plain}\(", header):  # declared by another plain name
        (name,) = re.findall(rf"#define (\w+)\s+{exported}\b", header)
    match = re.search(rf"CUresult CUDAAPI {name}\(([^)]*)\);", header)
    assert match is not None, exported
    return [re.sub(r"\b\w+$", "", argument.strip()).strip() for argument in match[1].split(",")]


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_are_as_declared(header: str, name: str) -> None:
    kinds = declared(header, name)
    assert len(kinds) == len(SIGNATURES[name]), kinds
    for given, kind in zip(SIGNATURES[name], kinds, strict=True):
        expected = 8 if kind.endswith("*") else SIZES[kind.removeprefix("const ")]
        assert ctypes.sizeof(given) == expected, (kind, given)


def test_constants_are_as_declared(header: str) -> None:
    for name, value in {
        "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR": MAJOR,
        "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR": MINOR,
        "CU_STREAM_CAPTURE_MODE_THREAD_LOCAL": THREAD_LOCAL,
        "CUDA_ERROR_OUT_OF_MEMORY": 2,
    }.items():
        assert re.search(rf"{name}\s*=\s*{value}\b", header), name
    assert re.search(rf"CU_STREAM_NON_BLOCKING\s*=\s*0x{NON_BLOCKING}\b", header)


def test_another_library_is_refused() -> None:
    with pytest.raises(BackendError, match="driver is too old: it has no cuInit"):
        Driver(ctypes.CDLL(None))
