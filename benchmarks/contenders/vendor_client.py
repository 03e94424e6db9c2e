"""The vendor's own Python client in the loop that its documentation suggests, into a gzip file."""

import gzip
import json
import sys

from honeyhive import HoneyHive

ask = json.loads(sys.argv[1])
body = ask["body"]
client = HoneyHive(api_key=ask["key"], base_url=ask["url"])
with gzip.open(ask["output"] + "/events.jsonl.gz", "wt", compresslevel=1) as file:
    page = 1
    while True:
        answer = client.events.export(filters=[], date_range=body["dateRange"], limit=body["limit"], page=page)
        if not answer.events:
            break
        for event in answer.events:
            file.write(event.model_dump_json() + "\n")
        page += 1
