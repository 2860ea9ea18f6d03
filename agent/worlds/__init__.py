"""Bundled worlds: sites of a household and of a workshop, generated from their names."""
