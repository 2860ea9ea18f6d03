"""Did an episode do what it says? Symbolic checks, then a model that may look and touch nothing."""
