"""mem0 over FAISS and over a local Qdrant: inference off, vectors given, the namespace is its `user_id`.

Bulks go through its store's own `insert`, as its `add` would take one item at a time; single writes go
through `add`. Its word ranker (fastembed's BM25 and spaCy) needs downloads, so it searches by vector alone.
Calls take turns behind one lock; `…-unlocked` shows why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID

from material import DIM, Question, Row
from mem0 import Memory


class Given:
    """An embedder that was told the vectors before it is asked."""

    def __init__(self) -> None:
        self.known: dict[str, list[float]] = {}

    def embed(self, text: str, _memory_action: str | None = None) -> list[float]:
        return self.known[text]


class MemZero:
    def __init__(self, store: str, folder: Path, turns: AbstractContextManager[Any]) -> None:
        self._turns = turns
        config: dict[str, Any] = {
            "collection_name": "bench",
            "embedding_model_dims": DIM,
            "path": str(folder / store),
        }
        config |= {"distance_strategy": "cosine"} if store == "faiss" else {"on_disk": True}
        self._memory = Memory.from_config(
            {
                "vector_store": {"provider": store, "config": config},
                "history_db_path": str(folder / "history.db"),
            }
        )
        self._given = Given()
        self._memory.embedding_model = self._given

    def load(self, rows: Sequence[Row]) -> None:
        self._memory.vector_store.insert(
            vectors=[row.vector.tolist() for row in rows],
            payloads=[_payload(row) for row in rows],
            ids=[str(UUID(int=row.number)) for row in rows],
        )

    def finish(self) -> None:
        """It saves with every insert."""

    def ask(self, question: Question, k: int) -> list[int]:
        self._given.known[question.text] = question.vector.tolist()
        of = {"user_id": question.space}
        with self._turns:
            found = self._memory.search(question.text, filters=of, top_k=k, threshold=0.0)
        return [one["metadata"]["number"] for one in found["results"]]

    serve = ask

    def write(self, row: Row) -> None:
        self._given.known[row.text] = row.vector.tolist()
        message = [{"role": "user", "content": row.text}]
        with self._turns:
            self._memory.add(message, user_id=row.space, metadata={"number": row.number}, infer=False)
        del self._given.known[row.text]

    def has(self, row: Row) -> bool:
        return row.number in self.ask(Question(row.space, row.text, row.vector), 10)

    def close(self) -> None:
        self._memory.close()


def _payload(row: Row) -> dict[str, Any]:
    """As `add` makes it."""
    return {
        "data": row.text,
        "hash": hashlib.md5(row.text.encode()).hexdigest(),
        "created_at": "2026-01-01T00:00:00+00:00",
        "updated_at": "2026-01-01T00:00:00+00:00",
        "text_lemmatized": row.text,
        "user_id": row.space,
        "role": "user",
        "number": row.number,
    }


CONTENDERS = {
    "mem0-faiss": lambda folder: MemZero("faiss", folder, Lock()),
    "mem0-qdrant": lambda folder: MemZero("qdrant", folder, Lock()),
    "mem0-faiss-unlocked": lambda folder: MemZero("faiss", folder, nullcontext()),
    "mem0-qdrant-unlocked": lambda folder: MemZero("qdrant", folder, nullcontext()),
}
