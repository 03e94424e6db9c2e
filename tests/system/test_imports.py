"""Importing the package warns of nothing, on each Airflow: what warns today is gone from a later Python or library."""

from __future__ import annotations

import json

from tests.unit.programs import last_line_of

#: Imports every module, and prints how many there are and which warnings are not Airflow's. Whose a warning is tells
#: the first of these places that is ours or Airflow's: the line that is warned about, then the imports that led there
#: from the inside out. So a library that Airflow imports may warn, one that we import may not, and neither may a name
#: of Airflow's that we use.
IMPORTING = """
import importlib, importlib.util, json, pkgutil, traceback, warnings
from pathlib import Path

def folder_of(package):
    return importlib.util.find_spec(package).submodule_search_locations[0]

theirs, ours = folder_of("airflow"), folder_of("airflow_provider_honeyhive")
found = []

def note(message, category, filename, lineno, file=None, line=None):
    places = [filename, *(frame.filename for frame in reversed(traceback.extract_stack()))]
    whose = (folder for place in places for folder in (ours, theirs) if Path(place).is_relative_to(folder))
    if next(whose, ours) == ours:
        found.append(f"{filename}:{lineno}: {category.__name__}: {message}")

# Airflow's settings take the same function for theirs, so they come first.
import airflow.settings
import airflow_provider_honeyhive as package

warnings.showwarning = note
warnings.simplefilter("always")

names = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        # What an extra brings need not be there.
        if error.name.startswith(package.__name__):
            raise
assert warnings.showwarning is note
print(json.dumps([len(names), found]))
"""


def test_importing_every_module_warns_of_nothing():
    imported, warned = json.loads(last_line_of(IMPORTING))
    assert imported > 100
    assert warned == []
