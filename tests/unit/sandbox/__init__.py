"""Tests of the sandbox over real HTTP, with nothing of the package that it stands in for."""
