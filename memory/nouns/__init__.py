"""The nouns every room shares; `memory.types` is the door to them."""
