"""What judges a candidate, a figure or a finished run without being told how it went."""
