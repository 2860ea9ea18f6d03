"""Generate, judge, repair, select, stop: one mechanism, and what papers have made of it."""
