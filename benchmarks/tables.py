"""Tables as Markdown has them."""

from __future__ import annotations


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table; short rows end with empty cells."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join([*row, *[""] * (len(head) - len(row))]) + " |" for row in rows]
    return "\n".join(lines) + "\n\n"


def origin(case: str, commit: str) -> str:
    """Return how a case was measured, and of which commit."""
    return f"`python benchmarks/run.py --case {case}`, at commit {commit}\n\n"
