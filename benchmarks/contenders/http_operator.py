"""Airflow's ``HttpOperator`` with a pagination function; the response filter writes the gzip file.

The operator's ``execute`` is called directly, with an empty context: no scheduler, no database, no XCom.
"""

import gzip
import json
import sys
from pathlib import Path

from airflow.providers.http.operators.http import HttpOperator

ask = json.loads(sys.argv[1])


def next_page(response):
    """Ask for the page after the one that came, unless that was empty."""
    if not response.json()["events"]:
        return None
    page = json.loads(response.request.body)["page"] + 1
    return {"data": json.dumps({**ask["body"], "page": page})}


def write(responses):
    """Write the events of all pages."""
    path = Path(ask["output"], "events.jsonl.gz")
    with gzip.open(path, "wt", compresslevel=1) as file:
        for response in responses:
            for event in response.json()["events"]:
                file.write(json.dumps(event) + "\n")
    return str(path)


HttpOperator(
    task_id="export",
    http_conn_id="bench",
    endpoint="/events/export",
    method="POST",
    headers={"Content-Type": "application/json", "Authorization": f"Bearer {ask['key']}"},
    data=json.dumps({**ask["body"], "page": 1}),
    pagination_function=next_page,
    response_filter=write,
).execute({})
