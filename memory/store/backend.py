"""What a database must do for the store: hand out moments to read, run transactions, name its failures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Undone(Exception):
    """The database itself rolled the whole transaction back; the cause says why."""


class Backend(Protocol):
    """One open database. `reading` may be used by many threads, `transact` by one at a time."""

    @property
    def name(self) -> str:
        """What to call it in messages; holds no password."""
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that can only read and sees one moment."""
        ...

    def transact(self, run: Callable[[Connection], T]) -> T:
        """Run in one transaction and return once it is on disk; alone among all writers of the database.

        `run` may be called again when the database undid what it did. It raises `Undone` to give up.
        """
        ...

    def is_undone(self, connection: Connection, error: Exception) -> bool:
        """Did this error take the whole transaction with it, not only the statement?"""
        ...

    def translated(self, error: BaseException) -> BaseException:
        """The error a caller meets for one of the database's."""
        ...

    def backup(self, target: Path) -> None:
        """Copy the live database into a file. Raises StoreError where it has tools of its own for that."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...
