"""The blocks of code of ``docs/loading.md``, its statements as Airflow renders them, and where both stand."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jinja2

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "loading.md").read_text(encoding="utf-8")
#: What the page calls the folder of all exports.
FOLDERS = ("s3://my-bucket/honeyhive/", "gs://my-bucket/honeyhive/")


class Block(NamedTuple):
    """A block of code.

    :param section: the heading above it, of whatever level.
    :param name: what the comment in its first line says; empty: it has none.
    """

    section: str
    language: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.section} {self.name or self.language}"


def _blocks() -> list[Block]:
    found = []
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        section = re.findall(r"^#+ (.+)$", PAGE[: match.start()], re.MULTILINE)[-1]
        name = re.match(r"-- (\S+)\n", match[2])
        found.append(Block(section, match[1], name[1] if name else "", match[2]))
    return found


BLOCKS = _blocks()


def the(section: str, language: str, part: str) -> str:
    """Return the one block of a section that has ``part`` in it."""
    found = [block.text for block in BLOCKS if block[:2] == (section, language) and part in block.text]
    assert len(found) == 1, f"{len(found)} blocks of {language} in {section} hold {part!r}"
    return found[0]


def table(first_header: str) -> list[list[str]]:
    """Return the cells of the table whose first column is called so, its header first."""
    lines = PAGE.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_header} |"))
    end = next(number for number in range(begin, len(lines)) if not lines[number].startswith("|"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[begin:end]]
    assert len({len(row) for row in rows}) == 1
    return [rows[0], *rows[2:]]


def render(text: str, export: dict[str, Any]) -> str:
    """Return a template as a task renders it after the export.

    :param export: what the task ``export`` has returned.
    """
    results = {"export": export, "list_files": f"{export['output_path']}/_redshift.json"}
    task_instance = SimpleNamespace(xcom_pull=lambda task_ids: results[task_ids])
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701 - SQL, not HTML
    return environment.from_string(text).render(ti=task_instance)
