"""A table in parts is the table: whole, by columns, by rows; and it is read only where asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from forensics.errors import RunLogError
from forensics.runlog.parts import PartTable, coded_schema
from forensics.runlog.writer import write_table

SCHEMA = pa.schema([("media_id", pa.string()), ("n", pa.int64()), ("status", pa.string())])
COUNTS = (3, 0, 5, 1, 70)


@pytest.fixture()
def pair(tmp_path: Path) -> tuple[PartTable, pa.Table]:
    """Parts on disk, and the same rows as one table in memory."""
    tables, start = [], 0
    for number, count in enumerate(COUNTS):
        rows = [
            {"media_id": f"m{(start + k) // 4}", "n": start + k, "status": None if k % 3 else "ok"}
            for k in range(count)
        ]
        tables.append(pa.Table.from_pylist(rows, schema=SCHEMA))
        write_table(tables[-1], tmp_path / f"{number}.parquet")
        start += count
    paths = tuple(tmp_path / f"{number}.parquet" for number in range(len(COUNTS)))
    return PartTable(paths, COUNTS, coded_schema(SCHEMA)), pa.concat_tables(tables)


def test_it_is_the_whole_table(pair: tuple[PartTable, pa.Table]) -> None:
    parts, whole = pair
    assert parts.num_rows == whole.num_rows
    assert parts.column_names == whole.column_names
    assert parts.to_pylist() == whole.to_pylist()
    assert parts.equals(whole.cast(coded_schema(SCHEMA)).unify_dictionaries())
    assert parts["n"].to_pylist() == whole["n"].to_pylist()
    assert sum((b.to_pylist() for b in parts.to_batches()), []) == whole.to_pylist()


def test_rows_come_in_the_order_asked_for(pair: tuple[PartTable, pa.Table]) -> None:
    parts, whole = pair
    rng = np.random.default_rng(5)
    for rows in ([], [0], [78, 0, 8, 8, 2], rng.integers(0, 79, 200), np.arange(79)):
        wanted = np.asarray(rows, np.int64)
        expected = whole.take(pa.array(wanted)).to_pylist()
        assert parts.take(wanted).to_pylist() == expected
        assert parts.select(["status"]).take(wanted).to_pylist() == [
            {"status": row["status"]} for row in expected
        ]


def test_only_what_is_asked_for_is_read(pair: tuple[PartTable, pa.Table]) -> None:
    parts, whole = pair
    parts.paths[2].unlink()
    assert parts.num_rows == whole.num_rows
    assert parts.take([0, 78])["n"].to_pylist() == [0, 78]
    with pytest.raises(RunLogError, match=r"2\.parquet is missing or damaged"):
        parts.take([3])
    with pytest.raises(RunLogError, match="missing or damaged"):
        parts.read()


def test_a_part_that_is_not_as_written_is_refused(
    pair: tuple[PartTable, pa.Table], tmp_path: Path
) -> None:
    parts, _ = pair
    with pytest.raises(RunLogError, match="other rows than the ledger"):
        replace(parts, counts=(3, 0, 5, 2, 70)).read()
    write_table(pa.table({"n": list("abc")}), tmp_path / "0.parquet")
    with pytest.raises(RunLogError, match="other columns"):
        parts.read()
    with pytest.raises(RunLogError, match="other columns"):
        parts.select(["n"]).read()


def test_no_parts_are_an_empty_table() -> None:
    empty = PartTable((), (), coded_schema(SCHEMA))
    assert empty.read().num_rows == empty.take([]).num_rows == 0
    assert list(empty.to_batches()) == []
