"""Where answers to a search come from: memory, a tool, or the model itself, and who is asked when."""
