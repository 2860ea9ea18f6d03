"""What of a world's answers a model is shown: pure functions, each of one kind of world."""
