"""A table kept in many Parquet parts, of which only what is asked for is read, part by part.

A run of ten million detections does not fit in a gigabyte as one table; the few columns that a
question needs do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from forensics.errors import RunLogError

REPEATING = ("media_id", "detector_class", "classifier_class", "status", "decided_by")
AHEAD = 32


def read_table(path: Path, **options: Any) -> pa.Table:
    """Read one Parquet file, checking page checksums. Raises RunLogError.

    `options` are pyarrow's: `read_dictionary` of the file, `columns` and `use_threads` of reading.
    """
    coded = options.pop("read_dictionary", None)
    try:
        # pyarrow takes no path that is not UTF-8; a run folder may have any name.
        with (
            open(path, "rb") as stream,
            pq.ParquetFile(
                stream, page_checksum_verification=True, read_dictionary=coded
            ) as file,
        ):
            return file.read(**options)
    except (OSError, pa.ArrowException) as error:
        text = str(error).splitlines()[0]
        raise RunLogError(f"{path} is missing or damaged ({text}); run `verify`") from error


def coded_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with its repeating text columns dictionary-encoded."""
    text = pa.dictionary(pa.int32(), pa.string())
    fields = [field.with_type(text) if field.name in REPEATING else field for field in schema]
    return pa.schema(fields, schema.metadata)


@dataclass(frozen=True, eq=False)
class PartTable:
    """One table in parts; as an Arrow table, but nothing is in memory until it is asked for.

    `paths` of the parts in order, `counts` their rows as the ledger has them, `schema` with the
    repeating text columns dictionary-encoded. What is not named here is done on the table read
    whole. Reading raises RunLogError where a part is not as it was written.
    """

    paths: tuple[Path, ...]
    counts: tuple[int, ...]
    schema: pa.Schema

    @property
    def num_rows(self) -> int:
        return sum(self.counts)

    @property
    def column_names(self) -> list[str]:
        return list(self.schema.names)

    def select(self, names: Sequence[str]) -> PartTable:
        """The same rows with these columns only; still nothing is read."""
        fields = [self.schema.field(name) for name in names]
        return replace(self, schema=pa.schema(fields, self.schema.metadata))

    def tables(self) -> Iterator[pa.Table]:
        """Every part in turn; a few are read ahead."""
        yield from self._each(range(len(self.paths)))

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order, a part or less at a time."""
        for table in self.tables():
            yield from table.to_batches()

    def read(self) -> pa.Table:
        """The whole table, in memory."""
        tables = list(self.tables())
        if not tables:
            return self.schema.empty_table()
        return pa.concat_tables(tables).unify_dictionaries()

    def take(self, rows: Any) -> pa.Table:
        """The given rows, in the given order; only parts that hold some of them are read."""
        wanted: NDArray[np.int64] = np.asarray(rows, np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < self.num_rows:
            raise IndexError(f"rows lie between 0 and {self.num_rows - 1}")
        order = np.argsort(wanted, kind="stable")
        ends = np.cumsum(self.counts)
        places = np.searchsorted(wanted[order], np.concatenate([[0], ends]))
        used = np.flatnonzero(np.diff(places)).tolist()
        found = []
        for k, table in zip(used, self._each(used), strict=True):
            here = wanted[order[places[k] : places[k + 1]]] - (ends[k] - self.counts[k])
            found.append(table.take(pa.array(here)))
        if not found:
            return self.schema.empty_table()
        joined = pa.concat_tables(found).unify_dictionaries()
        if np.all(np.diff(order) > 0):
            return joined
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return joined.take(pa.array(back))

    def equals(self, other: PartTable | pa.Table) -> bool:
        whole = other.read() if isinstance(other, PartTable) else other
        return bool(self.read().equals(whole))

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        return self.select([name]).read()[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.read(), name)

    def _each(self, numbers: Sequence[int]) -> Iterator[pa.Table]:
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for start in range(0, len(numbers), AHEAD):
                yield from pool.map(self._part, numbers[start : start + AHEAD])

    def _part(self, number: int) -> pa.Table:
        path, names = self.paths[number], self.schema.names
        coded = [name for name in names if name in REPEATING]
        try:
            table = read_table(path, read_dictionary=coded, columns=names, use_threads=False)
            table = table.select(names).cast(self.schema)
        except (pa.ArrowException, KeyError) as error:
            raise RunLogError(f"{path} has other columns than a run's; run `verify`") from error
        if table.num_rows != self.counts[number]:
            raise RunLogError(f"{path} holds other rows than the ledger says; run `verify`")
        return table
