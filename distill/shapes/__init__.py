"""What is context and what is target: rows in, rows out."""
