"""The manifest of a build: which exports it is made of, and which files it has."""
