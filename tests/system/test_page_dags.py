"""The DAGs, tasks and Airflow commands of the documentation, run out of its pages against the sandbox and an S3."""

from __future__ import annotations

import gzip
import io
import json
import re
import shlex
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow.parquet
import pytest

from airflow_provider_honeyhive.manifest import Manifest
from tests.docs.documents import DAY, DAY_END, PROJECT, Document

from .conftest import ACCESS
from .running import AIRFLOW_2, Run, dag_bag, run_dag

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from airflow_provider_honeyhive.sandbox import Sandbox

NAMES = ("operator", "hook", "waiting", "how-to", "migrating", "fields", "personal-data", "scaling")
PAGES = ("README.md", *(f"docs/{name}.md" for name in NAMES))
FRAGMENT = """
from datetime import datetime
from airflow.providers.common.compat.sdk import DAG
with DAG("{name}", schedule="@daily", start_date=datetime(2026, 11, 1), catchup=False):
{body}
"""


@dataclass
class Place:
    """What a run has left in the bucket, and what its server holds."""

    sandbox: Sandbox
    s3: Any
    bucket: str
    run: Run

    def ids(self, folder: str) -> list[str]:
        """Return the ids of all events in the files that the manifest of a folder or object names."""
        return [event["event_id"] for event in self.events(folder)]

    def events(self, folder: str) -> list[dict[str, Any]]:
        """Return these events, of Parquet the columns."""
        of_object = not folder.endswith("/")
        key = f"{folder}.manifest.json" if of_object else f"{folder}_manifest.json"
        manifest = Manifest.from_json(self._get(key), key)
        base = folder.rpartition("/")[0] + "/" if of_object else folder
        found: list[dict[str, Any]] = []
        for part in manifest.files:
            data = self._get(base + part.path)
            if part.path.endswith(".parquet"):
                found += pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
            else:
                found += map(json.loads, gzip.decompress(data).splitlines())
        return found

    def wanted(
        self, condition: Callable[[Any], Any] = lambda _: True, start: datetime = DAY, end: datetime = DAY_END
    ) -> list[str]:
        """Return the ids of the server's events in a window that meet a condition."""
        ids = self.sandbox.event_ids(start, end)
        return sorted(e.event_id for e in self.sandbox.events() if e.event_id in ids and condition(e.decoded()))

    def _get(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()


def whole_day(folder: str) -> Callable[[Place], None]:
    def check(place: Place) -> None:
        assert sorted(place.ids(folder)) == place.wanted()

    return check


def check_daily(place: Place) -> None:
    whole_day("honeyhive/date=2026-11-22/")(place)
    found, said = place.run.xcoms["export"], json.loads(Document("docs/operator.md").the("json", '"manifest_path"'))
    assert found.keys() == said.keys()
    assert {key: found[key] for key in ("start_time", "end_time", "project")}.items() <= said.items()
    assert found["event_count"] == len(place.wanted())
    assert found["output_path"] == f"s3://{place.bucket}/honeyhive/date=2026-11-22"
    keys = [item["Key"] for item in place.s3.list_objects_v2(Bucket=place.bucket)["Contents"]]
    assert sorted(f"s3://{place.bucket}/{key}" for key in keys) == sorted([found["manifest_path"], *found["files"]])


def check_partitions(
    folder: str, partition: str = "event_date=2026-11-22/event_type=model/"
) -> Callable[[Place], None]:
    def check(place: Place) -> None:
        whole_day(folder)(place)
        keys = [item["Key"] for item in place.s3.list_objects_v2(Bucket=place.bucket)["Contents"]]
        assert any(key.startswith(f"{folder}{partition}part-") for key in keys)

    return check


def check_names(place: Place) -> None:
    events = [e.decoded() for e in place.sandbox.events() if e.event_id in place.sandbox.event_ids(DAY, DAY_END)]
    assert place.run.xcoms["count_names"] == Counter(event["event_name"] for event in events)


def check_settled(place: Place) -> None:
    assert place.run.xcoms["settled"] == {
        "event_count": 300,
        "newest": place.run.xcoms["settled"]["newest"],
        "start_time": "2026-11-22T00:00:00.000Z",
        "end_time": "2026-11-23T00:00:00.000Z",
        "project": PROJECT,
    }
    assert len(place.ids("honeyhive/date=2026-11-22/")) == 300


def experiment_of(sandbox: Sandbox) -> str:
    """Return the id of one of the experiment runs on the server."""
    return min(filter(None, (e.decoded()["metadata"].get("run_id") for e in sandbox.events())))


def check_experiment(place: Place) -> None:
    run_id = experiment_of(place.sandbox)
    wanted = place.wanted(lambda event: event["metadata"].get("run_id") == run_id)
    assert sorted(place.ids(f"experiments/{run_id}/20261122T000000Z-20261123T000000Z.jsonl.gz")) == wanted
    assert wanted


def check_lean(place: Place) -> None:
    events = place.events("lean/date=2026-11-22/")
    assert len(events) == len(place.wanted())
    for event in events:
        assert not {"inputs", "outputs", "error", "feedback", "metrics"} & event.keys()
        assert "template" not in event.get("config", {})
        assert event["user_properties"].startswith("hh_redacted:")


def check_measured(place: Place) -> None:
    events = place.events("measured/date=2026-11-22/")
    assert len(events) == len(place.wanted())
    for event in events:
        assert event["session_id"].startswith("hh_redacted:")
        assert not any(isinstance(value, str) for value in event.get("outputs", {}).values())


def check_sessions(place: Place) -> None:
    ids = place.sandbox.event_ids(DAY, DAY_END)
    sessions = {e.decoded()["session_id"] for e in place.sandbox.events() if e.event_id in ids}
    assert place.run.xcoms["count_sessions"] == len(sessions)


def check_projects(place: Place) -> None:
    for project in ("checkout", "search"):
        assert sorted(place.ids(f"honeyhive/{project}/date=2026-11-22/")) == sorted(
            place.sandbox.event_ids(DAY, DAY_END, project=project)
        )


def check_fields(place: Place) -> None:
    events = place.events("honeyhive/date=2026-11-22/")
    assert len(events) == len(place.wanted())
    for event in events:
        assert event["inputs"] is None
        assert "content" not in json.loads(event["outputs"] or "{}")
        assert json.loads(event["user_properties"])["user"].startswith("hh_redacted:")


def check_many(place: Place) -> None:
    wanted = place.wanted(lambda event: event["source"] == "production")
    assert sorted(place.ids("honeyhive/date=2026-11-22/")) == wanted
    assert sum(name.startswith("export[") for name in place.run.states) > 1


@dataclass
class Case:
    """How to run a snippet, and what to look at then.

    :param more: what is added to the snippet.
    :param server: arguments of its sandbox.
    :param edits: texts of the snippet, and what stands in their place, so that nobody waits for hours.
    """

    check: Callable[[Place], None]
    logical_date: datetime | None = DAY_END
    more: str = ""
    server: dict[str, Any] = field(default_factory=dict)
    conf: Callable[[Sandbox], dict[str, Any]] | None = None
    edits: dict[str, str] = field(default_factory=dict)


#: By page, then by DAG id, or of a snippet without a DAG by the id of its first task or the name of its function.
CASES: dict[str, dict[str, Case]] = {
    "README.md": {"honeyhive_daily": Case(check_daily)},
    "docs/operator.md": {
        "honeyhive_events": Case(whole_day("honeyhive/date=2026-11-22/")),
        "to_parquet": Case(check_partitions("my-project/date=2026-11-22/", "event_type=model/")),
    },
    "docs/hook.md": {"honeyhive_names": Case(check_names)},
    "docs/waiting.md": {
        "honeyhive_settled": Case(check_settled, edits={"timedelta(minutes=30)": "1", "timedelta(minutes=5)": "0.3"}),
    },
    "docs/how-to.md": {
        "honeyhive_projects": Case(check_projects, server={"keys": {"hh_checkout": "checkout", "hh_search": "search"}}),
        "honeyhive_experiment": Case(check_experiment, conf=lambda sandbox: {"evaluation_id": experiment_of(sandbox)}),
        "honeyhive_sessions": Case(check_sessions),
    },
    "docs/fields.md": {
        # The sandbox's users have no address.
        "export": Case(check_fields, edits={"user_properties.email": "user_properties.user"})
    },
    "docs/personal-data.md": {"measured": Case(check_measured), "honeyhive_lean": Case(check_lean)},
    "docs/scaling.md": {"honeyhive_many": Case(check_many)},
    "docs/migrating.md": {"honeyhive_migrated": Case(whole_day("events/date=2026-11-22/events.jsonl.gz"))},
}
#: Snippets that have no task, with the unit tests that run them; and a DAG that only an asset starts.
ELSEWHERE = {
    "docs/operator.md": {"filters"},
    "docs/hook.md": {"hook"},
    "docs/migrating.md": {"export"},
    "docs/fields.md": {"redacted"},
    "docs/waiting.md": {"honeyhive_disliked"},
}


def name_of(text: str) -> str:
    """Return what a snippet is called here."""
    for pattern in (r'\bDAG\(\s*"(\w+)"', r'task_id="(\w+)"', r"^def (\w+)", r"^(\w+) ="):
        if found := re.search(pattern, text, re.MULTILINE):
            return found[1]
    raise AssertionError(f"a snippet without a name:\n{text}")


SNIPPETS = {
    page: {name_of(snippet.text): snippet.text for snippet in Document(page).snippets("python")} for page in PAGES
}


@pytest.mark.parametrize("page", PAGES)
def test_every_snippet_of_a_page_is_run_here_or_known_to_be_run_elsewhere(page):
    names = [name_of(snippet.text) for snippet in Document(page).snippets("python")]
    assert sorted(names) == sorted({*CASES.get(page, {}), *ELSEWHERE.get(page, set())})


@pytest.fixture
def store(bucket, s3, monkeypatch):
    """Let the bucket be reached by the connection ``aws_default``, and by the worker's own credentials."""
    extra = {"endpoint_url": s3.meta.endpoint_url, "region_name": ACCESS["region_name"]}
    connection = {"conn_type": "aws", "login": "access", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    for name, value in {
        "AWS_ACCESS_KEY_ID": "access",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": ACCESS["region_name"],
        "AWS_ENDPOINT_URL": s3.meta.endpoint_url,
    }.items():
        monkeypatch.setenv(name, value)
    return bucket


def dag_of(file: Path) -> Any:
    (dag,) = dag_bag(file).dags.values()
    return dag


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, cases in CASES.items() for name in cases])
def test_a_snippet_does_what_its_page_says(serve, connect, store, s3, tmp_path, page, name):
    case, text = CASES[page][name], SNIPPETS[page][name]
    for old, new in case.edits.items():
        assert old in text
        text = text.replace(old, new)
    text += case.more
    if "DAG(" not in text:
        text = FRAGMENT.format(name=name, body=textwrap.indent(text, "    "))
    file = tmp_path / f"{name}.py"
    file.write_text(text.replace("my-bucket", store), encoding="utf-8")
    sandbox = serve(**{"start": DAY, "end": DAY_END, "project": PROJECT, **case.server})
    connect(sandbox, redact_secret="a-long-random-secret")
    for key, project in case.server.get("keys", {}).items():
        connect(sandbox, f"honeyhive_{project}", key=key, project=project)

    run = run_dag(dag_of(file), case.logical_date, conf=case.conf(sandbox) if case.conf else None)

    assert run.state == "success", (run.errors, run.retried)
    case.check(Place(sandbox, s3, store, run))


@pytest.mark.parametrize(("begin", "is_of_2"), [("airflow backfill create", False), ("airflow dags backfill", True)])
def test_the_backfill_of_the_page_is_understood(begin, is_of_2):
    from airflow.cli import cli_parser

    if is_of_2 is not AIRFLOW_2:
        pytest.skip(f"{begin} is a command of Airflow {2 if is_of_2 else 3}")
    words = shlex.split(Document("docs/windows.md").the("bash", begin))

    parsed = cli_parser.get_parser().parse_args(words[1:])

    assert "honeyhive_daily" in vars(parsed).values()
