"""Chroma: one collection for a namespace, as its own guide has tenants kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import chromadb
import numpy as np
from chromadb.config import Settings
from material import Question, Row


class Chroma:
    def __init__(self, folder: Path) -> None:
        settings = Settings(anonymized_telemetry=False, is_persistent=True)
        self._client = chromadb.PersistentClient(str(folder / "chroma"), settings=settings)
        self._collections: dict[str, Any] = {}
        self._lock = Lock()

    def load(self, rows: Sequence[Row]) -> None:
        for space in dict.fromkeys(row.space for row in rows):
            self._add(space, [row for row in rows if row.space == space])

    def finish(self) -> None:
        """It saves as it goes."""

    def ask(self, question: Question, k: int) -> list[int]:
        found = self._collection(question.space).query(
            query_embeddings=question.vector[None, :], n_results=k, include=["documents", "distances"]
        )
        return [int(id_) for id_ in found["ids"][0]]

    serve = ask

    def write(self, row: Row) -> None:
        self._add(row.space, [row])

    def has(self, row: Row) -> bool:
        return row.number in self.ask(Question(row.space, row.text, row.vector), 10)

    def close(self) -> None:
        """It has no such call."""

    def _add(self, space: str, rows: Sequence[Row]) -> None:
        self._collection(space).add(
            ids=[str(row.number) for row in rows],
            embeddings=np.stack([row.vector for row in rows]),
            documents=[row.text for row in rows],
        )

    def _collection(self, space: str) -> Any:
        with self._lock:
            if space not in self._collections:
                self._collections[space] = self._client.get_or_create_collection(
                    f"bench-{space}", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
                )
            return self._collections[space]


CONTENDERS = {"chroma": Chroma}
