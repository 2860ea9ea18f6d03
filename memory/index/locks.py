"""Many may read or one may write: FAISS crashes when a search meets an add."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class ReadWriteLock:
    """Waiting writers go before new readers. Not re-entrant."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._n_readers = 0
        self._n_waiting = 0
        self._is_writing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Held together with other readers."""
        with self._changed:
            while self._is_writing or self._n_waiting:
                self._changed.wait()
            self._n_readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_readers -= 1
                if not self._n_readers:
                    self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Held alone."""
        with self._changed:
            self._n_waiting += 1
            try:
                self._changed.wait_for(lambda: not self._is_writing and not self._n_readers)
                self._is_writing = True
            finally:
                self._n_waiting -= 1
        try:
            yield
        finally:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
