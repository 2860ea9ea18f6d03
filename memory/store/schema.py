"""Bringing a database to the newest schema."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from memory.errors import StoreError

HEAD = "0006"
"""Newest migration; a test holds it against the files."""


def migrate(connection: Connection) -> None:
    """Run what is missing, inside the caller's transaction. Raises StoreError on a newer file."""
    found = version(connection)
    if found == HEAD:
        return
    # Alembic takes a third of a second to import; a store that is up to date never needs it.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD)
    except CommandError as error:
        raise StoreError(
            f"the database has schema {found!r}, newer than {HEAD!r}: upgrade apprentice"
        ) from error


def version(connection: Connection) -> str | None:
    """Schema of the file; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)
