"""Hooks of the HoneyHive provider."""
