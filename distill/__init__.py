"""Offline: memory becomes a dataset, an adapter, a verdict. The only room with gradients."""
