"""Lower bounds: what pyproject.toml allows is what the tests of the lowest versions run with."""

from __future__ import annotations

import ast
import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
with (ROOT / "pyproject.toml").open("rb") as file:
    PROJECT = tomllib.load(file)["project"]
EXTRAS = PROJECT["optional-dependencies"]
#: What developers need is pinned, and has no lowest version; extras of extras bring nothing of their own.
FOR_USERS = [name for name in EXTRAS if name not in ("dev", "lint", "readers", "all")]
ASKED = [
    one
    for one in map(Requirement, chain(PROJECT["dependencies"], *(EXTRAS[name] for name in FOR_USERS)))
    if one.name != PROJECT["name"]
]
#: What these extras bring is no part of "dev", with which the lowest versions are tested.
NOT_TESTED = {canonicalize_name(Requirement(word).name) for name in ("gcs", "azure") for word in EXTRAS[name]}
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")


def pins(name: str) -> dict[str, Version]:
    lines = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints" / name).read_text(encoding="utf-8"), re.M)
    return {canonicalize_name(package): Version(version) for package, version in lines}


def holds(one: Requirement, python: str) -> bool:
    machine = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": "x86_64"}
    return one.marker is None or one.marker.evaluate({**default_environment(), **machine})


def test_the_index_names_the_pythons_that_are_tested_and_no_other():
    (text,) = re.findall(r"^OTHER_PYTHONS = (\{.+\})$", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.M)
    named = [word.rpartition(" ")[2] for word in PROJECT["classifiers"] if ":: Python ::" in word]
    assert named == [PROJECT["requires-python"].removeprefix(">="), *sorted(ast.literal_eval(text).values())]


@pytest.mark.parametrize("one", ASKED, ids=str)
def test_each_dependency_has_one_bound_and_it_is_a_lower_one(one):
    assert [bound.operator for bound in one.specifier] == [">="]


@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_has_one_line_for_each_dependency(python):
    of_python = [(name, Requirement(word)) for name in FOR_USERS for word in EXTRAS[name]]
    of_python += [("", Requirement(word)) for word in PROJECT["dependencies"]]
    for extra in ["", *FOR_USERS]:
        named = [one for name, one in of_python if name == extra]
        lines = [one.name for one in named if holds(one, python)]
        assert sorted(lines) == sorted({one.name for one in named}), extra


def test_the_lowest_versions_that_are_tested_are_the_lower_bounds():
    bounds = {canonicalize_name(one.name): one.specifier for one in ASKED if holds(one, "3.11")}
    lowest = pins("lowest.txt")
    tested = {name: f">={lowest[name]}" for name in bounds.keys() - NOT_TESTED}
    assert tested == {name: bounds[name] for name in tested}


def test_what_is_not_tested_with_the_lowest_is_what_the_extras_of_developers_lack():
    brought = set(re.findall(r"\w+", next(word for word in EXTRAS["dev"] if word.startswith(PROJECT["name"] + "["))))
    assert brought & set(FOR_USERS) == set(FOR_USERS) - {"gcs", "azure"}


@pytest.mark.parametrize("name", ["airflow-2.11.txt", "airflow-3.1.txt", "airflow-3.3.txt", "stores.txt"])
def test_all_other_pins_are_within_the_bounds(name):
    pinned = pins(name)
    for one in ASKED:
        version = pinned.get(canonicalize_name(one.name))
        assert version is None or not holds(one, "3.11") or version in one.specifier, (one, version)
