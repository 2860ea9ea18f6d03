"""Credit: what each message of an episode is worth learning from."""
