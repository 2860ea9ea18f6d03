"""The demonstration: a fresh server, an agent at sites it has never seen, and what it learned there."""
