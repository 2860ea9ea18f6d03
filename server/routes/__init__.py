"""Routes, one file per resource; what they do is elsewhere."""
