"""Putting a namespace in order: near-duplicates, procedures out of cases, what is of no use. Pure."""
