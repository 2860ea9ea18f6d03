"""Wire models: what clients send and get. Nouns of `memory.types` are sent as they are."""
