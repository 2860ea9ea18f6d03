"""Search over what might be done: one best-first loop, and the costs and scores it goes by."""
