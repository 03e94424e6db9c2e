"""Check the sandbox against HoneyHive's own Python clients, old and new, by their public methods.

Makes a throw-away virtual environment for each client (or uses those in the directory given with ``--envs``)
and has each fetch from a sandbox. Prints a line for each check; the exit code is 0 if all hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from airflow_provider_honeyhive.sandbox import Behaviour, Sandbox

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from typing import Literal

EVENTS = 3200
TIMEOUT = 600

GENERATIONS: tuple[Literal["today", "older"], ...] = ("today", "older")

#: Each program gets url, key, project, window and page size as JSON in its first argument, and prints the
#: ids it fetched: of the window, and of the model events in it.
EXPORT_NEW = """
import json, sys
from honeyhive import HoneyHive
from honeyhive.models import EventFilter
ask = json.loads(sys.argv[1])
client = HoneyHive(api_key=ask["key"], base_url=ask["url"])
def ids(filters):
    found, page = [], 1
    while True:
        answer = client.events.export(
            filters=filters, date_range={"$gte": ask["start"], "$lte": ask["end"]}, limit=ask["limit"], page=page
        )
        found += [event.event_id for event in answer.events]
        if not answer.events:
            assert answer.total_events == len(found), (answer.total_events, len(found))
            return found
        page += 1
models = [EventFilter(field="event_type", operator="is", value="model", type="string")]
print(json.dumps({"all": ids([]), "models": ids(models)}))
"""

# The client has no public method for search; what its own code is generated with has.
SEARCH_NEW = """
import json, sys
from honeyhive._generated.api_config import APIConfig
from honeyhive._generated.models import SearchEventsRequest
from honeyhive._generated.services import Events_service
ask = json.loads(sys.argv[1])
config = APIConfig(base_path=ask["url"], access_token=ask["key"])
def ids(filters):
    found, page = [], 1
    while True:
        body = SearchEventsRequest(
            filters=filters,
            dateRange={"start_time": ask["start"], "end_time": ask["end"]},
            limit=ask["limit"],
            page=page,
        )
        answer = Events_service.searchEvents(config, data=body)
        found += [event.event_id for event in answer.events]
        if not answer.events:
            assert answer.count == len(found), (answer.count, len(found))
            return found
        page += 1
models = [{"field": "event_type", "operator": "is", "value": "model", "type": "string"}]
print(json.dumps({"all": ids([]), "models": ids(models)}))
"""

EXPORT_OLD = """
import json, sys
import honeyhive
from honeyhive.models import components, operations
ask = json.loads(sys.argv[1])
s = honeyhive.HoneyHive(bearer_auth=ask["key"], server_url=ask["url"])
def ids(filters):
    found, page = [], 1
    while True:
        res = s.events.get_events(request=operations.GetEventsRequestBody(
            project=ask["project"],
            filters=filters,
            date_range=operations.DateRange(dollar_gte=ask["start"], dollar_lte=ask["end"]),
            limit=ask["limit"],
            page=page,
        ))
        assert res.object is not None
        found += [event.event_id for event in res.object.events]
        if not res.object.events:
            assert res.object.total_events == len(found), (res.object.total_events, len(found))
            return found
        page += 1
models = [
    components.EventFilter(
        field='event_type',
        value='model',
        operator=components.Operator.IS,
        type=components.Type.STRING,
    ),
]
print(json.dumps({"all": ids([]), "models": ids(models)}))
"""


@dataclass(frozen=True)
class Check:
    """One client, one of its methods."""

    name: str
    environment: str
    requirement: str
    program: str
    path: str


CHECKS = (
    Check("events.export", "v17", "honeyhive==1.7.0", EXPORT_NEW, "/v1/events/export"),
    Check("searchEvents (generated, not public)", "v17", "honeyhive==1.7.0", SEARCH_NEW, "/v1/events/search"),
    Check("events.get_events", "v02", "honeyhive==0.2.57", EXPORT_OLD, "/events/export"),
)


def python_of(environment: Path, requirement: str) -> Path:
    """Return the interpreter of an environment that has the client, made if it is missing."""
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        subprocess.run(install, check=True, timeout=TIMEOUT)  # noqa: S603 - arguments are ours
    return python


def fetch(python: Path, program: str, ask: dict[str, Any]) -> dict[str, list[str]]:
    """Run a client's program and return the ids it fetched."""
    # Settings of the caller's own must not send the client elsewhere.
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("HH_")}
    environment["NO_PROXY"] = environment["no_proxy"] = "127.0.0.1"
    done = subprocess.run(  # noqa: S603 - arguments are ours
        [python, "-c", program, json.dumps(ask)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"the client failed:\n{done.stderr}")
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(name: str, fetched: list[str], served: AbstractSet[str]) -> None:
    """Raise :class:`ValueError` unless each id served was fetched exactly once."""
    if len(fetched) != len(served) or set(fetched) != served:
        raise ValueError(f"{name}: fetched {len(fetched)} ({len(set(fetched))} distinct), served {len(served)}")


def check(one: Check, generation: Literal["today", "older"], directory: Path) -> str:
    """Run one check against a sandbox of its own, of that generation, and return what it saw."""
    python = python_of(directory / one.environment, one.requirement)
    with Sandbox(count=EVENTS, behaviour=Behaviour(generation=generation)) as sandbox:
        ask = {
            "url": sandbox.url,
            "key": sandbox.key,
            "project": sandbox.project,
            "start": sandbox.start_time.isoformat(),
            "end": sandbox.end_time.isoformat(),
            "limit": 1000,
        }
        found = fetch(python, one.program, ask)
        served = sandbox.event_ids(sandbox.start_time, sandbox.end_time)
        models = {event.event_id for event in sandbox.events() if event.decoded()["event_type"] == "model"} & served
        compare("all events", found["all"], served)
        compare("model events", found["models"], models)
        paths = {request.path for request in sandbox.requests}
        if paths != {one.path}:
            raise ValueError(f"the client asked {sorted(paths)}, not {one.path}")
        return f"{len(served)} events, {len(models)} of them models, in {len(sandbox.requests)} requests"


def main() -> int:
    """Run all checks; 0 if all hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", type=Path, help="where the virtual environments v17 and v02 are, or shall stay")
    directory = parser.parse_args().envs
    with tempfile.TemporaryDirectory() as temporary:
        failures = 0
        for one, generation in product(CHECKS, GENERATIONS):
            label = f"{one.requirement} {one.name} {one.path}, generation {generation}"
            try:
                sys.stdout.write(f"ok    {label}: {check(one, generation, directory or Path(temporary))}\n")
            except (ValueError, OSError, subprocess.SubprocessError) as error:
                failures += 1
                sys.stdout.write(f"FAIL  {label}: {error}\n")
            sys.stdout.flush()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
