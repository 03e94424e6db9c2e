"""All pages: their blocks of code are sound, their links lead somewhere, what they name exists."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive import exceptions

from .documents import ROOT, Document

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]
SNIPPETS = [(page, snippet) for page in PAGES for snippet in Document(page).snippets()]
#: A file of the repository, with a test in it or without.
FILE = re.compile(r"`((?:tests|scripts|example_dags|benchmarks)/[\w./]*\w\.\w+)(?:::(\w+))?`")
LARGEST_PICTURE = 300_000
LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")


def snippets(language: str) -> list[object]:
    return [
        pytest.param(page, snippet.text, id=f"{page} {snippet}")
        for page, snippet in SNIPPETS
        if snippet.language == language
    ]


@pytest.mark.parametrize(("page", "text"), snippets("python"))
def test_python_compiles_and_fits_the_page(page, text):
    compile(text, page, "exec")
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(("page", "text"), snippets("bash"))
def test_shell_is_sound(page, text):
    subprocess.run(["/bin/bash", "-n", "-c", text], check=True)


@pytest.mark.parametrize(("page", "text"), snippets("json"))
def test_json_is_json(page, text):
    json.loads(text)


def test_only_languages_that_are_looked_at_are_used():
    assert {snippet.language for _, snippet in SNIPPETS} <= {"python", "bash", "json", "sql", "text"}


@pytest.mark.parametrize("page", PAGES)
def test_every_import_of_the_package_works(page):
    for module, names in re.findall(r"^from (airflow_provider_honeyhive[\w.]*) import ([\w, ]+)", text_of(page), re.M):
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name.strip()), f"{module}.{name}"


def text_of(page: str) -> str:
    return Document(page).text


def prose_of(page: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    found: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#+ (.+)$", prose_of(str(page.relative_to(ROOT))), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def links(page: str) -> list[str]:
    return [one or other for one, other in LINK.findall(prose_of(page))]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = ROOT / page
    for link in links(page):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_names_every_page_and_every_page_is_reached_from_the_readme():
    named = {link.partition("#")[0] for link in links("docs/README.md")} - {""}
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= named
    assert "docs/README.md" in links("README.md")


@pytest.mark.parametrize("page", PAGES)
def test_pictures_are_small(page):
    for picture in re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", text_of(page)):
        assert ((ROOT / page).parent / picture).stat().st_size < LARGEST_PICTURE, picture


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_that_are_named_exist(page):
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text_of(page), re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_files_and_tests_that_are_named_exist(page):
    for name, test in re.findall(
        r"`((?:tests|scripts|example_dags|benchmarks)/[\w./]*\w\.\w+)(?:::(\w+))?`", text_of(page)
    ):
        assert (ROOT / name).exists(), name
        assert not test or f"def {test}(" in (ROOT / name).read_text(encoding="utf-8"), test


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_a_page_with_snippets_says_which_tests_run_them(page):
    has_snippets = any(snippet.language in ("python", "bash", "sql") for snippet in Document(page).snippets())
    assert not has_snippets or re.search(r"`tests/\w+/test_\w+\.py", text_of(page))


@pytest.mark.parametrize("page", PAGES)
def test_errors_that_are_named_exist(page):
    named = set(re.findall(r"`(\w+Error)`", text_of(page)))
    assert {name for name in named if not hasattr(exceptions, name)} == set()


@pytest.mark.parametrize("page", PAGES)
def test_the_rows_of_a_table_are_alike(page):
    for table in re.findall(r"(?:^\|.*\n)+", prose_of(page), re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_place_of_this_machine(page):
    assert not re.search(r"/(?:root|work|tmp/w)/", text_of(page))
