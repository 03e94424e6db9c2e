"""Sensors of HoneyHive."""
