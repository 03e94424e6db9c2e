"""Airflow provider for HoneyHive: scheduled, complete and proved exports of LLM traces.

In the order in which data flows; each may import what stands above it, and nothing below::

    display         how texts of others are shown in logs, errors, and on terminals
    exceptions      every way an export can fail
    models          what a user asks for: window, filters, fields, layout, options
    events          the JSON text of one event
    storage         files in a folder of any store, whole or not at all
    api             HoneyHive over HTTP: one request, one page
    formats         events as the bytes of data files, and back
    reading         every event of a window once, proved
    manifest        the proof of an export, written last; reads and verifies it
    build_manifest  the same for what is built from exports
    export          one export from plan to published manifest
    conversations   what was said in an event, as chat messages
    builds          what is built from exports: which ones, the database that reads them, publishing
    tables          events, sessions, model calls, scores, measurements and edges as Parquet files
    dataset, report training files; a page about the tables
    cli             the command line
    _compat         the only module that tells Airflow 2.11 from 3
    hooks, links    an Airflow connection; a link from a task to its events
    tasks           what operators, sensors and triggers share of Airflow
    triggers        waiting without a worker slot
    operators, sensors

Beside them: ``provider_info``, which Airflow reads, ``sandbox``, a stand-in HoneyHive that imports none of these, and
``pytest_plugin``, which lets users test their DAGs with it.
Import Linter holds the code to this list, see ``pyproject.toml``.
"""

from __future__ import annotations

__version__ = "0.1.0"
