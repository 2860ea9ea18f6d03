"""Models by how they are reached: hosted, in process, scripted."""
