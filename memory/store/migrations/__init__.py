"""Schema migrations (Alembic), run when a store is opened."""
