"""Make docs/images/airflow-*.png: the provider as the installed Airflow shows it in a browser.

Starts a whole Airflow in a folder of its own, beside a stand-in HoneyHive and a stand-in S3 on loopback, lets a DAG
run, and takes pictures of the connection form and of the task: log, rendered templates, the button to HoneyHive.
Without words all pictures are made; else those that are named: connection, log, link, templates.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import sys
import tempfile
import urllib.request
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

# Before Airflow is imported, which reads it then.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="honeyhive-screenshots-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

from airflow import __version__ as airflow_version  # noqa: E402

from airflow_provider_honeyhive.sandbox import Sandbox  # noqa: E402
from tests.live.live_airflow import AIRFLOW_2, START, LiveAirflow  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
MINOR = ".".join(airflow_version.split(".")[:2])
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
EVENTS = 25_000
#: What the test of a connection to a sandbox says, if it goes well.
TESTED = "250 events in the last day"
ACCESS = {"aws_access_key_id": "access", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
DAG_ID, TASK_ID = "honeyhive_daily", "export"
DAG = f'''
from datetime import UTC, datetime
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_honeyhive.models.filters import EventFilter
from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

with DAG("{DAG_ID}", schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False):
    HoneyHiveExportEventsOperator(
        task_id="{TASK_ID}",
        honeyhive_conn_id="honeyhive_demo",
        filters=[EventFilter(field="event_type", operator="is", value="model")],
        exclude_fields=["inputs"],
        output_path="s3://my-bucket/honeyhive/{{start:%Y-%m-%d}}/",
        output_conn_id="store",
        file_format="parquet",
        partition_by=["event_type"],
        concurrency=2,
    )
'''


class ShownAirflow(LiveAirflow):
    """A whole Airflow with its web interface, which lets everybody in."""

    def __enter__(self) -> ShownAirflow:
        """Start it, and wait until a browser would be answered."""
        if AIRFLOW_2:
            (self.home / "webserver_config.py").write_text('AUTH_ROLE_PUBLIC = "Admin"\n')
            self._environment["AIRFLOW__WEBSERVER__WEB_SERVER_PORT"] = str(self._port)
            self._environment["AIRFLOW__WEBSERVER__WORKERS"] = "1"
        super().__enter__()
        if AIRFLOW_2:
            self.start("webserver")
        self.until(self._shows, "the web interface", START)
        return self

    def address(self, path: str) -> str:
        """Return the URL of a page."""
        return f"{self._url}{path}"

    def _shows(self) -> bool:
        try:
            with urllib.request.urlopen(self.address("/"), timeout=30):  # noqa: S310 - on loopback
                return True
        except OSError:
            return False


def main(wanted: list[str]) -> int:
    """Make the pictures; return the exit code."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.stderr.write(f"None of these is installed: {', '.join(BROWSERS)}\n")
        return 1
    IMAGES.mkdir(exist_ok=True)
    of_task = [name for name in TASK_PAGES if not wanted or name in wanted]
    with ExitStack() as stack:
        settings = {"AIRFLOW__CORE__TEST_CONNECTION": "Enabled"}
        if of_task:
            settings["AIRFLOW_CONN_STORE"] = stack.enter_context(store())
        live = stack.enter_context(ShownAirflow(settings))
        page = stack.enter_context(new_page(browser))
        # Lets the page in, in a way of its own with each version.
        page.goto(live.address("/"))
        page.get_by_text("Admin", exact=True).first.wait_for()
        if not wanted or "connection" in wanted:
            now = datetime.now(UTC)
            lately = stack.enter_context(Sandbox(count=250, start=now - timedelta(hours=2), end=now))
            (show_form_2 if AIRFLOW_2 else show_form_3)(page, live, lately)
        if of_task:
            run_id = run(live, stack.enter_context(Sandbox(count=EVENTS, end=TODAY)))
            for name in of_task:
                show_task(page, live, run_id, name)
    return 0


def run(live: ShownAirflow, sandbox: Sandbox) -> str:
    """Let the DAG run as it is scheduled, for yesterday, and return the run's id."""
    live.connect("honeyhive_demo", sandbox, app_url="https://app.us.honeyhive.ai")
    live.add_dag(DAG_ID, DAG)
    return live.wait_for(DAG_ID)[0]


@contextmanager
def store() -> Iterator[str]:
    """Serve an S3 with a bucket on loopback, and yield the connection to it."""
    # Here, so that the form can be seen where these are not installed.
    import boto3  # noqa: PLC0415
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=url, **ACCESS).create_bucket(Bucket="my-bucket")
    extra = {"endpoint_url": url, "region_name": ACCESS["region_name"]}
    yield json.dumps({"conn_type": "aws", "login": "access", "password": "secret", "extra": extra})
    server.stop()


@contextmanager
def new_page(browser: str) -> Iterator[Page]:
    """Yield a page of a browser without a window."""
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root.
        chromium = playwright.chromium.launch(executable_path=browser, chromium_sandbox=os.geteuid() != 0)
        page = chromium.new_page()
        page.set_default_timeout(60_000)
        yield page
        chromium.close()


def show_form_3(page: Page, live: ShownAirflow, sandbox: Sandbox) -> None:
    """Show the dialog in which a connection is added: its fields, its extras; then what its test says."""
    page.set_viewport_size({"width": 1000, "height": 1800})
    page.goto(live.address("/connections"))
    page.get_by_role("button", name="Add Connection").first.click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[name=connection_id]").fill("honeyhive_default")
    kind = dialog.get_by_role("combobox")
    kind.fill("HoneyHive")
    kind.press("Enter")
    dialog.get_by_text("API key", exact=True).wait_for()
    save(page, dialog, "connection")
    dialog.locator("input[name=host]").fill(sandbox.url)
    # Without it Airflow 3.3 would refuse the test: docs/connection.md says why.
    dialog.locator("input[name=port]").fill(str(sandbox.port))
    dialog.locator("input[name=password]").fill(sandbox.key)
    dialog.get_by_role("button", name="Extra Fields", exact=True).click()
    dialog.get_by_text("Default project", exact=True).wait_for()
    save(page, dialog, "connection-extras")
    dialog.get_by_role("button", name="Save", exact=True).click()
    dialog.wait_for(state="hidden")
    page.set_viewport_size({"width": 1000, "height": 500})
    page.get_by_role("button", name="Test Connection").first.click()
    page.get_by_text(TESTED).first.wait_for()
    save(page, page, "connection-tested", is_passing=True)


def show_form_2(page: Page, live: ShownAirflow, sandbox: Sandbox) -> None:
    """Show the page on which a connection is added, and what its test says."""
    page.set_viewport_size({"width": 1000, "height": 1700})
    page.goto(live.address("/connection/add"))
    page.locator("#conn_id").fill("honeyhive_default")
    # What shows the choices is drawn over the list itself.
    page.evaluate("$('#conn_type').val('honeyhive').trigger('change')")
    page.get_by_text("API key", exact=True).wait_for()
    save(page, page.locator("#model_form"), "connection")
    page.locator("#host").fill(sandbox.url)
    page.locator("#password").fill(sandbox.key)
    # In a narrower window the menu hides what the test says.
    page.set_viewport_size({"width": 1400, "height": 500})
    page.locator("#test-connection").click()
    page.get_by_text(TESTED).first.wait_for()
    page.evaluate("window.scrollTo(0, 0)")
    save(page, page, "connection-tested", is_passing=True)


def show_task(page: Page, live: ShownAirflow, run_id: str, name: str) -> None:
    """Show a page of the task, beside the run's grid."""
    path, text = TASK_PAGES[name]
    page.set_viewport_size({"width": 1400, "height": 800})
    yesterday = quote((TODAY - timedelta(days=1)).isoformat(), safe="")
    page.goto(
        live.address(path.format(dag_id=DAG_ID, task_id=TASK_ID, run_id=quote(run_id, safe=""), yesterday=yesterday))
    )
    page.get_by_text(text).first.wait_for()
    save(page, page, name)


def save(page: Page, what: Any, name: str, *, is_passing: bool = False) -> None:
    """Save a picture of the page, or of a part of it.

    :param page: what the browser shows.
    :param what: the page or the part.
    :param name: of the picture.
    :param is_passing: it shows a message that goes away by itself, within seconds.
    """
    path = IMAGES / f"airflow-{MINOR}-{name}.png"
    # Until what moves has come to rest.
    page.wait_for_timeout(600 if is_passing else 2_000)
    what.screenshot(path=path, animations="allow" if is_passing else "disabled", caret="hide")
    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes\n")


if AIRFLOW_2:
    _GRID = "/dags/{dag_id}/grid?dag_run_id={run_id}&task_id={task_id}&tab="
    #: Name of the picture -> path of the page, and a text that shows when it is there.
    TASK_PAGES = {
        "log": (f"{_GRID}logs", "Published"),
        "link": (f"{_GRID}details", "HoneyHive events"),
        "templates": (
            "/rendered-templates?dag_id={dag_id}&task_id={task_id}&execution_date={yesterday}&map_index=-1",
            "exclude_fields",
        ),
    }
else:
    _TASK = "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}"
    TASK_PAGES = {
        "log": (_TASK, "Published"),
        "link": (f"{_TASK}/details", "HoneyHive events"),
        "templates": (f"{_TASK}/rendered_templates", "exclude_fields"),
    }

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
