"""Benchmarks: our export side by side with what a user would do instead."""
