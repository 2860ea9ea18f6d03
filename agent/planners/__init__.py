"""Orders in which a run is worked on; each is a setting of an agent."""
