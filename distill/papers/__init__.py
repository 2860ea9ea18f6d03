"""Papers as recipes: frozen lines that read like their method sections, by what they have in common."""
