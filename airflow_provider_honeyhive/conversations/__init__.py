"""What was said in an event, as chat messages. Pure Python; nothing here opens a file."""
