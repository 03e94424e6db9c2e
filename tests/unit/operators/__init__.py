"""Tests of the operators that build."""
