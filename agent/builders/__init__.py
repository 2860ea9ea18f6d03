"""What principles are made of: counters over logs, models, and both together."""
