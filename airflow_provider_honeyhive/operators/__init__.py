"""Operators of the HoneyHive provider."""
