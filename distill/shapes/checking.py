"""Only what the world bears out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill.replay import Tasks
from distill.types import Episodes, Row


@dataclass(frozen=True, slots=True)
class BorneOut:
    """What nobody lived is kept where it goes in the world as it is told; what is real stays as it is.

    Source: Synatra (arXiv 2409.15637), demonstrations made of documents, whose observations are imagined.
    Deviation: the paper has no such check.
    """

    where_unknown: bool = False
    """Keep what is told of worlds that cannot be lived again, too."""

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """Calls and answers as the world has them."""
        tasks = Tasks.of([lived[row.episode] for row in rows])
        return tuple(row for row in rows if self._holds(row, lived, tasks))

    def _holds(self, row: Row, lived: Episodes, tasks: Tasks) -> bool:
        episode = lived[row.episode]
        if episode.origin == "real":
            return True
        if episode.task_id not in tasks.found:
            return self.where_unknown
        return tasks.relived(episode, len(episode.messages), ()) is not None
