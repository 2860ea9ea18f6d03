"""LanceDB: one table, the namespace a column with a scalar index; a vector index from 50,000 rows on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from material import DIM, Question, Row

INDEXED_FROM = 50_000
SCHEMA = pa.schema(
    [
        pa.field("number", pa.int64()),
        pa.field("space", pa.string()),
        pa.field("text", pa.string()),
        pa.field("vector", pa.list_(pa.float32(), DIM)),
    ]
)


class Lance:
    def __init__(self, folder: Path) -> None:
        self._database = lancedb.connect(str(folder / "lance"))
        self._table: Any = self._database.create_table("item", schema=SCHEMA, exist_ok=True)

    def load(self, rows: Sequence[Row]) -> None:
        self._table.add(_arrow(rows))

    def finish(self) -> None:
        self._table.create_scalar_index("space", index_type="BITMAP")
        if self._table.count_rows() >= INDEXED_FROM:
            self._table.create_index(metric="cosine", index_type="IVF_HNSW_SQ")
        self._table.optimize()

    def ask(self, question: Question, k: int) -> list[int]:
        found = (
            self._table.search(question.vector)
            .distance_type("cosine")
            .where(f"space = '{question.space}'", prefilter=True)
            .select(["number", "text", "_distance"])
            .limit(k)
            .to_list()
        )
        return [row["number"] for row in found]

    serve = ask

    def write(self, row: Row) -> None:
        self._table.add(_arrow([row]))

    def has(self, row: Row) -> bool:
        return row.number in self.ask(Question(row.space, row.text, row.vector), 10)

    def close(self) -> None:
        """It has no such call."""


def _arrow(rows: Sequence[Row]) -> pa.Table:
    flat = pa.array(np.concatenate([row.vector for row in rows]))
    columns = [
        pa.array([row.number for row in rows]),
        pa.array([row.space for row in rows]),
        pa.array([row.text for row in rows]),
        pa.FixedSizeListArray.from_arrays(flat, DIM),
    ]
    return pa.table(columns, schema=SCHEMA)


CONTENDERS = {"lancedb": Lance}
