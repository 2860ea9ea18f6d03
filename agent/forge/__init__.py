"""The forge: Python that an agent writes, run apart, and kept as tools."""
