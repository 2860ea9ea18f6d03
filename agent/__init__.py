"""Acting: models, worlds, tools, guards, the loop, and reflection."""
