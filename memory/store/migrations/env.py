"""Runs migrations over the connection that the store hands in; there is no other way to run them."""

from alembic import context

from memory.store.tables import Base


def run() -> None:
    """Alembic executes this file with its context set up."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        transactional_ddl=True,
    )
    context.run_migrations()


# A plain import, by a documentation tool say, has no context and no effect.
if hasattr(context, "config"):
    run()
