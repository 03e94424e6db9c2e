"""Documents as tests look at them: their blocks of code, their tables, their sentences; and what their examples use."""

from __future__ import annotations

import ast
import copy
import inspect
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]
#: What the pages' examples speak of.
PROJECT = "my-project"
DAY = datetime(2026, 11, 22, tzinfo=UTC)
DAY_END = DAY + timedelta(days=1)

#: How tables of arguments say yes and no.
YES, NO = "✓", "-"

#: A time or a size of which pages speak.
_MEASURE = re.compile(r"\d[\d.,]* (?:s|seconds|bytes|[KMG]i?B|characters|passes)\b")
_IN_WORDS = {60: "a minute", 3_600: "an hour", 86_400: "a day"}


class Snippet(NamedTuple):
    """A block of code.

    :param section: the heading above it, of whatever level.
    :param name: what a SQL comment in its first line says; empty: it has none.
    """

    language: str
    text: str
    line: int
    section: str
    name: str

    def __str__(self) -> str:
        return f"{self.language}, line {self.line}"


class Document:
    """A Markdown file of the repository.

    :param path: relative to the repository.
    """

    def __init__(self, path: str) -> None:
        self.path = ROOT / path
        self.text = self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without blocks of code."""
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.DOTALL | re.MULTILINE)

    def section(self, heading: str) -> Document:
        """Return what stands below a heading of the second level, up to the next one."""
        found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", self.text, re.DOTALL | re.MULTILINE)
        assert found, heading
        part = copy.copy(self)
        part.text = found[1]
        return part

    def snippets(self, language: str | None = None) -> list[Snippet]:
        """Return the blocks of code, all or those of one language."""
        found, section = [], ""
        for match in re.finditer(r"^```(\w+)\n(.*?)^```$|^#+ ([^\n]+)$", self.text, re.DOTALL | re.MULTILINE):
            if match[3]:
                section = match[3]
                continue
            name = re.match(r"-- (\S+)\n", match[2])
            line = self.text.count("\n", 0, match.start()) + 1
            found.append(Snippet(match[1], match[2], line, section, name[1] if name else ""))
        return [one for one in found if language in (None, one.language)]

    def the(self, language: str, *parts: str, section: str | None = None) -> str:
        """Return the one block, of a section or of the page, that holds all of the parts."""
        blocks = [one.text for one in self.snippets(language) if section in (None, one.section)]
        found = [text for text in blocks if all(part in text for part in parts)]
        assert len(found) == 1, f"{len(found)} blocks of {language} hold {parts}"
        return found[0]

    def tables(self, *headers: str) -> list[list[list[str]]]:
        """Return the cells of all tables whose first columns are called so, their headers first."""
        found = [
            [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in block.splitlines()]
            for block in re.findall(r"(?:^\|.*\n)+", self.prose, re.MULTILINE)
        ]
        return [[header, *rows] for header, _, *rows in found if tuple(header[: len(headers)]) == headers]

    def table(self, *headers: str) -> list[list[str]]:
        """Return the rows of the one table whose first columns are called so."""
        found = self.tables(*headers)
        assert len(found) == 1, f"{len(found)} tables begin with {headers}"
        return found[0][1:]

    def check_sentences(self, sentences: Iterable[str]) -> None:
        """Check that the page says all of this, and has no time and no size in any other sentence of its prose."""
        rest = " ".join(self.prose.split())
        for sentence in sentences:
            assert sentence in rest, sentence
            rest = rest.replace(sentence, "")
        assert _MEASURE.findall(rest) == []


def lasting(time: float | timedelta) -> str:
    """Return a time as pages say it."""
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    return _IN_WORDS.get(seconds, f"{seconds:,g} s")


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
    text = code(cell)
    span = re.fullmatch(r"timedelta\((\w+)=(\d+)\)", text)
    return timedelta(**{span[1]: int(span[2])}) if span else ast.literal_eval(text)


def default_in(cell: str) -> Any:
    """Return the default that a cell says."""
    return "required" if cell == "required" else literal_of(cell)


def check_arguments(table: list[list[str]], kind: Any) -> None:
    """Check that a table has a class's own arguments in their order, with their defaults, and what is templated."""
    header, *rows = table
    default, templated = header.index("Default"), header.index("Templated") if "Templated" in header else None
    fields = getattr(kind, "template_fields", ())
    wanted = [
        (
            name,
            "required" if parameter.default is parameter.empty else parameter.default,
            templated and (YES if name in fields else NO),
        )
        for name, parameter in inspect.signature(inspect.unwrap(kind.__init__)).parameters.items()
        if name not in ("self", "kwargs")
    ]
    assert [(code(row[0]), default_in(row[default]), templated and row[templated]) for row in rows] == wanted
    assert {*fields} <= {name for name, *_ in wanted}
    assert all(f":param {name}:" in kind.__doc__ for name, *_ in wanted)


def run_python(text: str, name: str = "README.md") -> dict[str, Any]:
    """Run a block, and return its names."""
    namespace: dict[str, Any] = {"__name__": "document"}
    exec(compile(text, name, "exec"), namespace)  # noqa: S102 - that is what is tested
    return namespace


def run_shell(text: str, **env: str) -> str:
    """Run a block that sets the connection, and return what it set."""
    script = f'set -eu\n{text}\nprintf %s "$AIRFLOW_CONN_HONEYHIVE_DEFAULT"'
    return subprocess.run(
        ["/bin/bash", "-c", script], env={"PATH": os.environ["PATH"], **env}, capture_output=True, text=True, check=True
    ).stdout


def render(text: str, export: dict[str, Any]) -> str:
    """Return a template as a task renders it after the export.

    :param export: what the task ``export`` has returned.
    """
    results = {"export": export, "list_files": f"{export['output_path']}/_redshift.json"}
    task_instance = SimpleNamespace(xcom_pull=lambda task_ids: results[task_ids])
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701 - SQL, not HTML
    return environment.from_string(text).render(ti=task_instance)
