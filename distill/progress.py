"""What a distillation tells while it runs: one line of JSON an event, flushed, so that others can follow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from memory.errors import DistillError

Stage = Literal["read", "build", "train", "register", "gate", "done", "refused", "cancelled"]


class Cancelled(DistillError):
    """The run was asked to stop; running the job again goes on from what is on disk."""


class Progress:
    """Appends to `progress.jsonl`."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock

    def tell(
        self,
        stage: Stage,
        done: int,
        total: int,
        message: str = "",
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """One line: `done` of `total` within a stage, and numbers worth plotting."""
        line = {
            "at": self._clock(),
            "stage": stage,
            "done": done,
            "total": total,
            "message": message,
            "metrics": dict(metrics or {}),
        }
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
