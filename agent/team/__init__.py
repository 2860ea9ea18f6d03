"""What several agents share: a list of rules, and what steps cost."""
