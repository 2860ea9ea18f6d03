"""The chain of guards: what stands between a model's call and a tool."""
