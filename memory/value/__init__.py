"""What an item is worth: means, evidence, lift. Pure."""
