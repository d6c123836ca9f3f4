"""Part files: what is written is what is read, or an error."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forensics.errors import RunLogError
from forensics.runlog import schemas
from forensics.runlog.reader import read_table
from forensics.runlog.writer import write_bytes, write_table

UNITS = st.floats(0, 1, width=32)
DETECTION = st.fixed_dictionaries(
    {
        "media_id": st.text("0123456789abcdef", min_size=1, max_size=8),
        "frame_index": st.integers(0, 2**62),
        "pts": st.none() | st.integers(-(2**62), 2**62),
        "time_s": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "detection_index": st.integers(0, 1000),
        "x_min": UNITS,
        "y_min": UNITS,
        "x_max": UNITS,
        "y_max": UNITS,
        "detector_class": st.text(max_size=5),
        "detector_score": UNITS,
        "classified": st.booleans(),
        "classifier_class": st.none() | st.text(max_size=5),
        "classifier_score": st.none() | UNITS,
        "target_score": st.none() | UNITS,
        "probabilities": st.none() | st.lists(UNITS, max_size=5),
        "suspect": st.booleans(),
        "decided_by": st.sampled_from(["detector", "classifier", "gate", "error"]),
    }
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(DETECTION, max_size=8), classes=st.lists(st.text(max_size=5), max_size=4))
def test_round_trip(tmp_path: Path, rows: list[dict[str, Any]], classes: list[str]) -> None:
    schema = schemas.detections_schema(classes)
    table = pa.Table.from_pylist(rows, schema=schema)
    first = write_table(table, tmp_path / "a.parquet")
    second = write_table(table, tmp_path / "b.parquet")
    assert first == second, "the same rows must give the same bytes"
    back = read_table(tmp_path / "a.parquet")
    assert back.to_pylist() == rows
    assert schemas.classifier_classes(back.schema) == tuple(classes)


def table_of(n: int) -> pa.Table:
    numbers = np.random.default_rng(1).random(n)
    return pa.table({"time_s": numbers, "index": np.arange(n)})


def test_a_flipped_bit_is_an_error_and_never_another_number(tmp_path: Path) -> None:
    """Without page checksums most of these would be read as other numbers."""
    path = tmp_path / "a.parquet"
    table = table_of(2000)
    write_table(table, path)
    data = path.read_bytes()
    dice = random.Random(7)
    noticed = 0
    for _ in range(150):
        mutant = bytearray(data)
        bit = dice.randrange(8 * len(data))
        mutant[bit // 8] ^= 1 << bit % 8
        path.write_bytes(mutant)
        try:
            back = read_table(path)
        except RunLogError:
            noticed += 1
        else:
            assert back.equals(table), f"bit {bit} changed what is read"
    assert noticed > 100


def test_missing_and_foreign_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no table")
    for name in ("none.parquet", "text.parquet"):
        with pytest.raises(RunLogError, match="missing or damaged"):
            read_table(tmp_path / name)


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    target = tmp_path / "folder.parquet"
    target.mkdir()
    (target / "x").touch()  # cannot be replaced by a file
    with pytest.raises(RunLogError, match="cannot write"):
        write_bytes(b"data", target)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.parquet"]


def test_a_part_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(b"old", path)
    write_bytes(b"new", path)
    assert path.read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_empty_and_null_are_apart(tmp_path: Path) -> None:
    """Empty: looked and found nothing. Null: did not look."""
    column = pa.array([[], None, [0.5]], pa.list_(pa.float32()))
    write_table(pa.table({"probabilities": column}), tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet")["probabilities"].to_pylist() == [[], None, [0.5]]
