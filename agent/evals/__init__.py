"""What is measured where truth is known: pure, for benches and tests, never for an agent at work."""
