"""The face: HTTP, jobs, identity, CLI. The only composition root."""
