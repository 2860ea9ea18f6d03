"""The truth: records, recall, value, constitution, trust and lineage."""
