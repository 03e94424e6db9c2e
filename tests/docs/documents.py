"""Documents as tests look at them: their blocks of code and their tables."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Snippet(NamedTuple):
    """A block of code."""

    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.language}, line {self.line}"


class Document:
    """A Markdown file of the repository.

    :param path: relative to the repository.
    """

    def __init__(self, path: str) -> None:
        self.path = ROOT / path
        self.text = self.path.read_text(encoding="utf-8")

    def snippets(self, language: str | None = None) -> list[Snippet]:
        """Return the blocks of code, all or those of one language."""
        found = [
            Snippet(match[1], match[2], self.text.count("\n", 0, match.start()) + 1)
            for match in re.finditer(r"^```(\w+)\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)
        ]
        return [one for one in found if language in (None, one.language)]

    def the(self, language: str, *parts: str) -> str:
        """Return the one block that holds all of the parts."""
        found = [one.text for one in self.snippets(language) if all(part in one.text for part in parts)]
        assert len(found) == 1, f"{len(found)} blocks of {language} hold {parts}"
        return found[0]

    def table(self, *headers: str) -> list[list[str]]:
        """Return the rows of the one table whose first columns are called so."""
        lines = self.text.splitlines()
        begins = [number for number, line in enumerate(lines) if line.startswith(f"| {' | '.join(headers)} |")]
        assert len(begins) == 1, f"{len(begins)} tables begin with {headers}"
        (begin,) = begins
        rows = []
        for line in lines[begin + 2 :]:
            if not line.startswith("|"):
                break
            rows.append([cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")])
        widths = {len(row) for row in rows} | {lines[begin].count("|") - 1}
        assert len(widths) == 1, f"the rows of {headers} differ in length"
        return rows


def codes(cell: str) -> list[str]:
    """Return all code spans of a cell."""
    return re.findall(r"`([^`]+)`", cell)


def code(cell: str) -> str:
    """Return the first code span of a cell."""
    found = codes(cell)
    assert found, f"{cell!r} holds no code"
    return found[0]


def literal_of(cell: str) -> Any:
    """Return the Python value that the first code span says."""
    return ast.literal_eval(code(cell))


def run_python(text: str, name: str = "README.md") -> dict[str, Any]:
    """Run a block, and return its names."""
    namespace: dict[str, Any] = {"__name__": "document"}
    exec(compile(text, name, "exec"), namespace)  # noqa: S102 - that is what is tested
    return namespace
