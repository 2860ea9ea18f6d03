"""From a finished episode to what memory keeps of it."""
