"""What the tests of several parts share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.browser import browser
from tests.support.examples import SCAN, Done, run_example, sample_folder
from tests.support.scans import run_small_scan, small_archive

__all__ = ["browser"]

# Machines that are shared stall now and then; a slow example is no failure.
settings.register_profile("shared", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("shared")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write what is found as right")


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-goldens"))


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small footage of three cameras. Read only: copy it before you change it."""
    return small_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="session")
def reference_run(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted scan of `archive`. Read only: copy it before you change it."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    run_small_scan(archive, folder)
    return folder


@pytest.fixture(scope="session")
def sample_scan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A folder with the sample as `footage` and its scan as `RUN`, and what the scan printed."""
    folder = sample_folder(tmp_path_factory.mktemp("sample"))
    return folder, run_example(SCAN, folder)
