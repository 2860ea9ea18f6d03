"""The only room with SQL: one truth in SQLite, one writer, many readers."""
