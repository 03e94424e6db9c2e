"""Files in a folder of any store, written whole or not at all. Knows nothing of events."""
