"""One run and one crop data set that the tests of mining and grouping share."""

from __future__ import annotations

import pytest

from forensics.runlog.reader import RunTables
from forensics.training.publish import Mined
from tests.training.crop_helpers import mine_sample, sample_run


@pytest.fixture(scope="session")
def mining_run(tmp_path_factory: pytest.TempPathFactory) -> RunTables:
    return sample_run(tmp_path_factory.mktemp("mining") / "run")


@pytest.fixture(scope="session")
def mined(mining_run: RunTables, tmp_path_factory: pytest.TempPathFactory) -> Mined:
    """Read only: copy the folder before you change it."""
    return mine_sample(mining_run, tmp_path_factory.mktemp("mined") / "crops")
