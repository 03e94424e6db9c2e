"""The commands of this project, and the environments they run in; the Makefile has a plain name for each.

Environments lie below .venv/, and are used again until what they are made of changes: what is installed, its pins, or
the project's metadata. Nox's own would belong to one session each; these are shared, since an Airflow takes a minute.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import nox
from packaging.requirements import Requirement

# Where the machine forbids to keep bytecode, each of the many processes of a test run would make Airflow's anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

nox.options.default_venv_backend = "none"
nox.options.sessions = ["test"]

#: The Airflows that everything is tested with.
AIRFLOWS = {"3.3": "3.3.2", "3.1": "3.1.8", "2.11": "2.11.2"}
NEWEST = "3.3"
#: The lowest that the package asks for. It takes every universal-pathlib, but opens no object store with one after 0.2.
LOWEST_AIRFLOW = ("apache-airflow==2.11.0", "universal-pathlib<0.3")
#: Extras whose lower bounds are tested: those that "dev" brings.
LOWEST_EXTRAS = ("s3", "parquet", "tables", "report")
#: The wheel beside these Airflows is tested with another Python than this one, where there is one. No Airflow before
#: 3.2 runs on 3.14, and 2.11 on none after 3.12.
OTHER_PYTHONS = {"3.3": "3.13", "3.1": "3.12"}
#: Watchers that keep their state in a file are all that 3.1 has of its own: 3.3 has stores for it, 2.11 no watchers.
LIVE = {"3.1": ["tests/live/test_examples.py", "tests/live/test_triggers.py"]}
#: What runs with the sources alone, and why neither the wheel, nor another Python, nor other versions of libraries can
#: change its result.
ONCE = {
    "tests/unit/export": "takes most of the time, and calls no library that the others do not; tests/system exports",
    "tests/docs": "compares pages with code: both are the same everywhere; tests/system runs what pages say",
    "tests/unit/benchmarks": "is about numbers, and nothing that is installed",
    **dict.fromkeys(
        ("tests/unit/builds/test_publication.py", "tests/unit/builds/test_publication_model.py"),
        "is about the steps of publishing, and calls no library that the others do not",
    ),
}
#: What runs with the sources and with the lowest of everything, but not with the wheel beside the newest Airflow.
_FILES = "makes files with DuckDB and pyarrow, which are those beside the sources; tests/system builds with the wheel"
NOT_NEWEST = ONCE | dict.fromkeys(
    ("tests/unit/builds", "tests/unit/conversations", "tests/unit/dataset", "tests/unit/report", "tests/unit/tables"),
    _FILES,
)
#: What is left out with the lowest of everything, and why.
NOT_LOWEST = ONCE | {
    **dict.fromkeys(
        (
            "tests/unit/tasks/test_asset_events.py",
            "tests/unit/tasks/test_assets.py",
            "tests/unit/tasks/test_choose_window.py",
            "tests/unit/tasks/test_lineage.py",
            "tests/unit/tasks/test_output_path.py",
            "tests/unit/tasks/test_retry_policy.py",
            "tests/unit/tasks/test_run_window.py",
            "tests/unit/tasks/test_schedule.py",
            "tests/unit/triggers/test_honeyhive.py",
        ),
        "imports what Airflow 3 has and 2.11 has not; tests/system has the same for 2.11",
    ),
    **dict.fromkeys(
        (
            "tests/unit/sensors/test_honeyhive.py::test_importing_it_imports_nothing_that_only_a_wait_needs",
            "tests/unit/tasks/test_polling.py::test_importing_it_does_not_hold_up_an_event_loop",
        ),
        "is about what Airflow 3 loads by itself",
    ),
    **dict.fromkeys(
        (
            "tests/unit/cli/test_main.py::test_an_export_lands_and_its_last_line_says_what_it_is",
            "tests/unit/cli/test_main.py::test_json_says_what_the_operator_returns",
            "tests/unit/cli/test_main.py::test_placeholders_in_the_path_are_filled",
            "tests/unit/cli/test_builds.py",
        ),
        "looks at stdout, where Airflow 2.11 puts the log once another test has imported it",
    ),
}
#: How many cases tests that hypothesis drives try in "fuzz", unless the environment says; see their settings.
FUZZ_CASES = "2x"
#: What plays Azure. The other stores are played by Python packages.
AZURITE = "azurite@3.35.0"

ROOT = Path(__file__).resolve().parent
DIST = ROOT / "dist"
#: Here lies all of the sdist but the package: what tests import is what is installed.
APART = ROOT / "build" / "apart"
#: Without bytecode, which Python makes of what it imports: of all that Airflow brings that is little.
PIP_INSTALL = ("-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-compile")
#: For pytest: one more test at once than there are processors, since many wait for servers and processes.
AT_ONCE = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")

each_airflow = nox.parametrize("airflow", [nox.param(minor, id=minor) for minor in AIRFLOWS])


@nox.session
def demo(session: nox.Session) -> None:
    """Export a day of events through Airflow, and build tables, a report and training files of it."""
    session.run(environment(session, "demo", "-e.[report]") / "python", "scripts/demo.py")


@nox.session
def units(session: nox.Session) -> None:
    """Test the units of the sources, and the pages, on the newest Airflow."""
    session.run(sources(session) / "python", "-m", "pytest", *AT_ONCE, "tests/unit", "tests/docs")


@nox.session(requires=["units"])
def test(session: nox.Session) -> None:
    """Test the sources on the newest Airflow: "units", and tasks in Airflow."""
    # A process of its own: there Airflow has another home.
    session.run(sources(session) / "python", "-m", "pytest", *AT_ONCE, "tests/system")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, types, and which module imports which."""
    for tool in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], ["lint-imports"]):
        session.run(sources(session) / tool[0], *tool[1:])


@nox.session(name="format")
def format_code(session: nox.Session) -> None:
    """Format the code and mend what can be mended."""
    session.run(sources(session) / "ruff", "check", "--fix")
    session.run(sources(session) / "ruff", "format")


@nox.session
def build(session: nox.Session) -> None:
    """Make wheel and sdist in dist/, and lay all of the sdist but the package apart."""
    for folder in (DIST, APART):
        shutil.rmtree(folder, ignore_errors=True)
    session.run(sys.executable, "-m", "build", "--no-isolation", silent=True)
    APART.mkdir(parents=True)
    session.run("tar", "-xzf", *DIST.glob("*.tar.gz"), "-C", APART, "--strip-components", "1")
    shutil.rmtree(APART / "airflow_provider_honeyhive")


@nox.session(requires=["build"])
@each_airflow
def wheel(session: nox.Session, airflow: str) -> None:
    """Test the installed wheel on each Airflow.

    On the newest one tests run that "units" has run, too: there with the sources, here with the wheel and another
    Python, where that can matter; those that hypothesis drives are in "fuzz". On the others only what touches Airflow
    can differ.
    """
    python = beside(session, airflow) / "python"
    session.chdir(APART)
    if airflow == NEWEST:
        session.run(python, "-m", "pytest", *AT_ONCE, "-m", "not hypothesis", *but(session, NOT_NEWEST), "tests/unit")
    session.run(python, "-m", "pytest", *AT_ONCE, "tests/system")


@nox.session(requires=["build"])
def lowest(session: nox.Session) -> None:
    """Test the wheel with the lowest of everything that it asks for."""
    what = (f"{the_wheel()}[dev]", *LOWEST_AIRFLOW)
    python = environment(session, "wheel-lowest", *what, airflow=None, pins=("lowest",)) / "python"
    session.chdir(APART)
    # What hypothesis drives tries the same cases with the sources, and more of them in "fuzz".
    session.run(python, "-m", "pytest", *AT_ONCE, "-m", "not hypothesis", *but(session, NOT_LOWEST), "tests/unit")
    session.run(python, "-m", "pytest", *AT_ONCE, "tests/system")


@nox.session(requires=["build"])
def fuzz(session: nox.Session) -> None:
    """Let each test that hypothesis drives try many more cases than usual.

    They are the same ones each time, so that a failure is of what was changed; others where the environment says how
    many.
    """
    python = beside(session, NEWEST) / "python"
    session.chdir(APART)
    given = "HONEYHIVE_PROPERTY_CASES" in os.environ
    seed = () if given else ("--hypothesis-seed=0",)
    env = {} if given else {"HONEYHIVE_PROPERTY_CASES": FUZZ_CASES}
    session.run(python, "-m", "pytest", *AT_ONCE, "-m", "hypothesis", *seed, "tests/unit", env=env)


@nox.session(requires=["build"])
def stores(session: nox.Session) -> None:
    """Test S3, Google Cloud Storage and Azure against servers on this machine."""
    if not shutil.which("npm"):
        session.skip("npm, of Node.js 18 or later, is not on this machine, and brings what plays Azure")
    what = (f"{the_wheel()}[all]", "-rtests/stores/requirements.txt")
    programs = environment(session, "wheel-stores", *what, pins=("stores",))
    install_azurite(session, programs)
    session.chdir(APART)
    session.run(programs / "python", "-m", "pytest", "tests/stores")


@nox.session(requires=["build"])
@each_airflow
def live(session: nox.Session, airflow: str) -> None:
    """Run the tests that start a whole Airflow, one after the other: they have time limits."""
    python = beside(session, airflow) / "python"
    session.chdir(APART)
    session.run(python, "-m", "pytest", *LIVE.get(airflow, ["tests/live"]))


@nox.session(requires=["build"])
@each_airflow
def check_wheel(session: nox.Session, airflow: str) -> None:
    """Install the wheel without extras beside each Airflow, and look for the provider."""
    pins = f"constraints/airflow-{airflow}.txt"
    session.run("scripts/check_wheel.sh", sys.executable, the_wheel(), AIRFLOWS[airflow], pins)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages as a site in build/site/, and check their links."""
    programs = environment(session, "docs", "mkdocs-material", airflow=None, pins=("docs",))
    # Not by --quiet, with which warnings, such as of a broken link, are no failure.
    session.run(programs / "mkdocs", "build", silent=True, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the export beside what users do instead."""
    what = ("-e.[all]", "-rbenchmarks/requirements.txt", "-rtests/stores/requirements.txt")
    programs = environment(session, "bench", *what, pins=("stores", "bench"))
    if shutil.which("npm"):
        install_azurite(session, programs)
    else:
        session.warn("npm, of Node.js 18 or later, is not on this machine: exports to Azure are left out")
    session.run(programs / "python", "benchmarks/run.py", *session.posargs)


@nox.session
def constraints(session: nox.Session) -> None:
    """Pin anew what a fresh install brings today."""
    freeze = ("scripts/freeze_constraints.sh", sys.executable)
    session.run(*freeze, "constraints/tools.txt", "nox", "build", "hatchling")
    session.run(*freeze, "constraints/docs.txt", "mkdocs-material")
    for airflow, version in AIRFLOWS.items():
        extras = "dev,lint,readers" if airflow == NEWEST else "dev"
        session.run(*freeze, f"constraints/airflow-{airflow}.txt", f".[{extras}]", f"apache-airflow=={version}")
    session.run(*freeze, "constraints/lowest.txt", ".[dev]", *LOWEST_AIRFLOW, *lower_bounds())
    what = (".[all]", "-rtests/stores/requirements.txt", f"apache-airflow=={AIRFLOWS[NEWEST]}")
    session.run(*freeze, "constraints/stores.txt", *what)


# ------------------------------------------------------------------------------------------------ environments


def environment(
    session: nox.Session,
    name: str,
    *what: str,
    airflow: str | None = NEWEST,
    pins: tuple[str, ...] = (),
    python: str = sys.executable,
) -> Path:
    """Return the programs of an environment, which is made anew unless it is made of just this.

    :param what: to install beside the Airflow, as pip takes it.
    :param airflow: None: ``what`` names one.
    :param pins: files of constraints/ other than the Airflow's.
    """
    place = ROOT / ".venv" / name
    install = [*what, *([f"apache-airflow=={AIRFLOWS[airflow]}"] if airflow else [])]
    install += [f"-cconstraints/{pin}.txt" for pin in pins or (f"airflow-{airflow}",)]
    texts = [(ROOT / word[2:]).read_text() for word in install if word.startswith(("-c", "-r"))]
    made_of = repr([python, install, texts, nox.project.load_toml("pyproject.toml")["project"]])
    digest, stamp = sha256(made_of.encode()).hexdigest(), place / "made-of.sha256"
    if not stamp.exists() or stamp.read_text() != digest:
        # With its pip, which is younger than the one that Python brings, and takes a third of the time.
        session.run(sys.executable, "-m", "virtualenv", "-q", "--no-periodic-update", "--clear", "-p", python, place)
        session.run(place / "bin" / "python", *PIP_INSTALL, *install)
        session.run(place / "bin" / "python", "-m", "pip", "check")
        stamp.write_text(digest)
    elif ".whl" in what[0]:
        # Another wheel may have the same version.
        path = what[0].rpartition("[")[0]
        session.run(place / "bin" / "python", *PIP_INSTALL, "--no-deps", "--force-reinstall", path)
    return place / "bin"


def but(session: nox.Session, left_out: dict[str, str]) -> list[str]:
    """Return pytest's options that leave tests out, and log why.

    :param left_out: test or folder -> reason.
    """
    for test, reason in left_out.items():
        session.log(f"left out: {test}: {reason}")
    return [f"--{'deselect' if '::' in test else 'ignore'}={test}" for test in left_out]


def install_azurite(session: nox.Session, programs: Path) -> None:
    """Install what plays Azure beside an environment."""
    npm = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")
    session.run(*npm, "--prefix", programs.parent / "node", AZURITE)


def sources(session: nox.Session) -> Path:
    """Return the environment with the sources as they are."""
    return environment(session, f"airflow-{NEWEST}", "-e.[dev,lint,readers]")


def beside(session: nox.Session, airflow: str) -> Path:
    """Return the environment with the wheel beside an Airflow."""
    other = OTHER_PYTHONS.get(airflow)
    python = find_python(other) if other else sys.executable
    if python is None:
        session.warn(f"SKIPPED: Python {other}, which is not on this machine; the tests run with this one")
    what, python = f"{the_wheel()}[dev]", python or sys.executable
    return environment(session, f"wheel-{airflow}", what, airflow=airflow, python=python)


def find_python(minor: str) -> str | None:
    """Return a Python of this minor version; what pyenv has need not be on the path."""
    pyenv = Path.home().glob(f".pyenv/versions/{minor}.*/bin/python")
    for path in filter(None, [shutil.which(f"python{minor}"), *map(str, pyenv)]):
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:  # noqa: S603
            return path
    return None


def lower_bounds() -> list[str]:
    """Return pins of the lowest that the package and its extras ask for, beside this Python, but for Airflow's."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    extras = (words for name, words in project["optional-dependencies"].items() if name in LOWEST_EXTRAS)
    asked = map(Requirement, itertools.chain(project["dependencies"], *extras))
    return [
        f"{one.name}=={bound.version}"
        for one in asked
        if one.name != "apache-airflow" and (one.marker is None or one.marker.evaluate())
        for bound in one.specifier
    ]


def the_wheel() -> str:
    """Return the path of the wheel that "build" has made."""
    (path,) = DIST.glob("*.whl")
    return str(path)
