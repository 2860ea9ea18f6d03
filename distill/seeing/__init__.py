"""What a distillation did, for people: rows with their weights as colours, a report to open in a browser."""
