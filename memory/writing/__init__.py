"""What comes in and what happens to it, inside one transaction: who gets in, changes, credit, forgetting."""
