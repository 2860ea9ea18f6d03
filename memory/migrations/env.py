"""Runs migrations over the connection that the store hands in; there is no other way to run them."""

from alembic import context

from memory.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
