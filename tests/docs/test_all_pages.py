"""All pages: code is sound, links lead somewhere, names exist and are not internal, rows have their tests."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import airflow_provider_honeyhive
from airflow_provider_honeyhive import exceptions

from .documents import ROOT, Document, codes

#: For users; they name nothing that only this repository's developers know.
USER_PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
EXAMPLES = [f"example_dags/{path.name}" for path in sorted((ROOT / "example_dags").glob("*.py"))]
PAGES = [*USER_PAGES, "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "dev/README.md"]
SNIPPETS = [(page, snippet) for page in PAGES for snippet in Document(page).snippets()]
LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
LARGEST_PICTURE = 300_000

#: Tables each of whose rows is shown by tests, by the header of their first column.
SHOWN_BY_TESTS = ("What can go wrong", "The run")
with (ROOT / "tests" / "docs" / "row_tests.toml").open("rb") as file:
    ROW_TESTS = tomllib.load(file)

#: Modules that users import from, or that pages tell of.
PUBLIC_MODULES = {
    "build_manifest",
    "exceptions",
    "formats.columns",
    "formats.parquet",
    "hooks.honeyhive",
    "manifest",
    "models",
    "operators.honeyhive",
    "operators.dataset",
    "operators.mapped",
    "operators.report",
    "operators.tables",
    "sandbox",
    "sensors.honeyhive",
    "tasks.retry_policy",
    "triggers.honeyhive",
}
#: What looks like a private name, a module or a test and is neither: a folder of exports, a call of the hook, a key in
#: events, an argument, results of tasks, a file of a report.
PUBLIC_NAMES = {"_corrections", "test_connection", "metadata._event", "__var", "test_share"}
PUBLIC_NAMES |= {"export.output", "tables.output", "report.html"}
#: What Google calls its rights.
PUBLIC_NAMES |= {f"storage.objects.{right}" for right in ("get", "list", "create", "delete")}
#: Where it is installed, which need not be the repository.
PACKAGE = Path(airflow_provider_honeyhive.__file__).parent
TOP_LEVEL = {path.stem for path in PACKAGE.iterdir()}
MODULES = {path.stem for path in PACKAGE.rglob("*.py")}


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
    imports = re.findall(r"^from (airflow_provider_honeyhive[\w.]*) import ([\w, ]+)", Document(page).text, re.M)
    for module, names in imports:
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name.strip()), f"{module}.{name}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    found: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#+ (.+)$", Document(str(page.relative_to(ROOT))).prose, re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def links(page: str) -> list[str]:
    return [one or other for one, other in LINK.findall(Document(page).prose)]


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
    for picture in re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", Document(page).text):
        assert ((ROOT / page).parent / picture).stat().st_size < LARGEST_PICTURE, picture


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    for name in re.findall(r"\b(?:tests|scripts|dev|example_dags|benchmarks)/[\w./]*\w\.\w+", Document(page).text):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_that_are_named_exist(page):
    targets = set(re.findall(r"^([a-z0-9.-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z0-9.-]*[a-z0-9])", Document(page).text, re.MULTILINE)) <= targets


def test_variables_that_are_named_are_read():
    sources = [
        path.read_text(encoding="utf-8")
        for folder in (
            PACKAGE,
            *(ROOT / name for name in ("example_dags", "scripts", "tests/unit", "tests/system", "tests/stores")),
        )
        for path in folder.rglob("*.py")
    ]
    for page in PAGES:
        for name in re.findall(r"`(HONEYHIVE_[A-Z_]+[A-Z])", Document(page).text):
            assert any(f'"{name}"' in source for source in sources), (page, name)


@pytest.mark.parametrize("page", PAGES)
def test_errors_that_are_named_exist(page):
    named = set(re.findall(r"`(\w+Error)`", Document(page).text))
    assert {name for name in named if not hasattr(exceptions, name)} == set()


@pytest.mark.parametrize("page", PAGES)
def test_the_rows_of_a_table_are_alike(page):
    for table in re.findall(r"(?:^\|.*\n)+", Document(page).prose, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_place_of_this_machine(page):
    assert not re.search(r"/(?:root|work|tmp/w)/", Document(page).text)


# ------------------------------------------------------------------------------------- pages and tests


def file_of(page: str) -> str:
    """Return the name of the file with a page's own tests."""
    return f"test_{page.removeprefix('docs/').removesuffix('.md').lower().replace('-', '_')}.py"


@pytest.mark.parametrize("page", USER_PAGES)
def test_a_page_with_snippets_has_tests_that_run_them(page):
    if any(snippet.language in ("python", "bash", "sql") for snippet in Document(page).snippets()):
        tests = ROOT / "tests" / "docs" / file_of(page)
        assert f'Document("{page}")' in tests.read_text(encoding="utf-8")


def test_files_of_tests_are_named_as_their_pages():
    found = {path.name for path in (ROOT / "tests" / "docs").glob("test_*.py")}
    assert found - {"test_all_pages.py"} <= {file_of(page) for page in USER_PAGES}


@pytest.mark.parametrize("header", SHOWN_BY_TESTS)
@pytest.mark.parametrize("page", USER_PAGES)
def test_every_row_has_its_tests(page, header):
    rows = [row for _, *rows in Document(page).tables(header) for row in rows]
    assert [row[0] for row in rows] == list(ROW_TESTS.get(page, {}).get(header, {}))
    assert all(all(row) for row in rows)


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(
    ("row", "tests"), [row for tables in ROW_TESTS.values() for rows in tables.values() for row in rows.items()]
)
def test_the_tests_of_a_row_exist(row, tests):
    assert tests, row
    for file, name in (test.split("::") for test in tests):
        assert name.startswith("test_"), name
        assert name in functions_of(file), name


# --------------------------------------------------------------------------------------- internal names


@cache
def constants() -> frozenset[str]:
    """Return the names of the package's constants that have more than one word."""
    sources = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    return frozenset(name for text in sources for name in re.findall(r"^([A-Z]+(?:_[A-Z]+)+)(?:: .*)? = ", text, re.M))


def is_internal(name: str) -> bool:
    """Return whether a code span is a private name, or a module of the package or what is in it."""
    own = re.fullmatch(r"(?:airflow_provider_honeyhive\.)?((\w+)(?:\.\w+)+)", name)
    if own is None:
        return bool(re.fullmatch(r"_\w*[a-zA-Z](?:\(.*\))?", name))
    # Keys of manifests such as `request.endpoint` have no capitals.
    of_module = own[2] in MODULES and own[1] != own[1].lower()
    return (own[2] in TOP_LEVEL or of_module) and own[1] not in PUBLIC_MODULES


def internal_names(page: Document) -> set[str]:
    """Return what a page or an example names that only developers of the package know."""
    tests_and_files = re.findall(r"\btest_\w+|\btests/[\w/.]*|\bairflow_provider_honeyhive/[\w/.]*", page.prose)
    members = re.findall(r"[\w.]*\._[a-zA-Z]\w*", page.text)
    capitals = re.findall(r"\b_?[A-Z]+(?:_[A-Z]+)+\b", page.prose)
    imported = re.findall(r"\bairflow_provider_honeyhive\.([\w.]*\w) import", page.text)
    spans = filter(is_internal, codes(page.prose))
    named = {*tests_and_files, *members, *spans, *(set(imported) - PUBLIC_MODULES)} - PUBLIC_NAMES
    return named | {name for name in capitals if name.startswith("_") or name in constants()}


@pytest.mark.parametrize("page", [*USER_PAGES, *EXAMPLES])
def test_pages_and_examples_for_users_name_nothing_internal(page):
    assert internal_names(Document(page)) == set()


@pytest.mark.parametrize(
    "text",
    [
        "`tests/docs/test_guarantees.py`",
        "as test_every_limit_is_the_one_in_the_code shows",
        "`api.connections.LARGEST_HEAD` bytes",
        "`airflow_provider_honeyhive.reading.slice_reader`",
        "`reading.slice_reader.SliceReader`",
        "`models.options.ExportOptions.concurrency`",
        "`LONGEST_AGE`",
        "`_retry_goes_on(error)`",
        "`transport._MOST_REDIRECTS`",
        "`retries.FIRST_BACKOFF_S` seconds",
        "`slice_reader.SliceReader`",
        "up to LONGEST_PAUSE_S seconds",
        "from airflow_provider_honeyhive.models.filters import EventFilter",
        "in airflow_provider_honeyhive/api/client.py",
        "```python\nfrom airflow_provider_honeyhive.api.client import HoneyHiveClient\n```",
        "```python\nhook._client\n```",
    ],
)
def test_internal_names_are_found(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    assert internal_names(Document(str(page)))


def test_all_pages_together_can_be_read():
    """Code counts, too, but neither the bars of tables nor other marks."""
    words = [word for page in USER_PAGES if page != "README.md" for word in Document(page).text.split()]
    assert sum(bool(re.search(r"\w", word)) for word in words) <= 18_000
