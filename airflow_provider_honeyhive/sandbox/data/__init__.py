"""Generated events: traces, what is in them, when they happen."""
