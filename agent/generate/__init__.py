"""Tasks, worlds, risks and questions that a model makes up; one loop, each kind a setting of it."""
