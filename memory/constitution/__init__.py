"""Which principles are in force: chosen, drawn for an episode, judged, versioned, written out."""
