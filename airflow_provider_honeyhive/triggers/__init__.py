"""Waiting for HoneyHive off the worker."""
