"""What to try next: tasks that a model proposes from what memory holds, behind one filter."""
