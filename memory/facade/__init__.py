"""The façade in parts: looking things up, housekeeping, changing what is there, reaching through it all."""
