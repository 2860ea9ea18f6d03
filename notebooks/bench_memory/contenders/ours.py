"""Our memory, complete (admission, log, full text, both rankers, value, caps, budget); vectors are given."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from material import DIM, Matrix, Question, Row

from memory.core import Memory
from memory.types import Draft, NoteBody, Query, Recall


class GivenVectors:
    """An encoder that was told the vector of every text before it is asked."""

    generation = "given-384-1"
    dim = DIM
    floor = 0.25
    """As MiniLM's."""

    def __init__(self) -> None:
        self._known: dict[str, Matrix] = {}

    def learn(self, texts: Sequence[str], vectors: Sequence[Matrix]) -> None:
        self._known.update(zip(texts, vectors, strict=True))

    def unlearn(self, texts: Sequence[str]) -> None:
        for text in texts:
            self._known.pop(text, None)

    def encode(self, texts: Sequence[str]) -> Matrix:
        return np.stack([self._known[text] for text in texts])


class Ours:
    def __init__(self, folder: Path) -> None:
        # One warning an opened store, about the version of SQLite, says nothing new.
        logging.getLogger("memory").setLevel(logging.ERROR)
        self._encoder = GivenVectors()
        self._memory = Memory.open(folder / "memory.db", encoder=self._encoder)

    def load(self, rows: Sequence[Row]) -> None:
        self._encoder.learn([row.text for row in rows], [row.vector for row in rows])
        for space in dict.fromkeys(row.space for row in rows):
            drafts = [_draft(row) for row in rows if row.space == space]
            self._memory.remember(space, drafts, principal="bench", channel="operator")
        self._encoder.unlearn([row.text for row in rows])

    def finish(self) -> None:
        """Save the index, as a clean stop would."""
        self._memory.snapshot()

    def ask(self, question: Question, k: int) -> list[int]:
        """A whole recall; of all its candidates the k of highest cosine, to be compared with exact search."""
        scored = [(hit.score.dense, hit.item) for hit in self._recall(question, k).candidates]
        scored = [pair for pair in scored if pair[0] is not None]
        best = sorted(scored, key=lambda pair: -(pair[0] or 0.0))[:k]
        return [int(item.body.subject) for _, item in best if isinstance(item.body, NoteBody)]

    def serve(self, question: Question, k: int) -> list[int]:
        """What recall shows, in its order."""
        shown = [hit.item.body for hit in self._recall(question, k).hits]
        return [int(body.subject) for body in shown if isinstance(body, NoteBody)]

    def write(self, row: Row) -> None:
        self._encoder.learn([row.text], [row.vector])
        self._memory.remember(row.space, [_draft(row)], principal="bench", channel="operator")
        self._encoder.unlearn([row.text])

    def has(self, row: Row) -> bool:
        return row.number in self.ask(Question(row.space, row.text, row.vector), 10)

    def close(self) -> None:
        self._memory.close()

    def _recall(self, question: Question, k: int) -> Recall:
        self._encoder.learn([question.text], [question.vector])
        query = Query(question.space, question.text, k=k, token_budget=1_000_000)
        return self._memory.recall(query, count_tokens=lambda text: len(text.split()))


def _draft(row: Row) -> Draft:
    return Draft("tool_note", row.text, NoteBody(str(row.number), row.text))


CONTENDERS = {"ours": Ours}
