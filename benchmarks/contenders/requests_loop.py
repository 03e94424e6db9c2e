"""What most people write first: ``requests``, page numbers, ``json``, a gzip file."""

import gzip
import json
import sys

import requests

ask = json.loads(sys.argv[1])
session = requests.Session()
session.headers["Authorization"] = f"Bearer {ask['key']}"
with gzip.open(ask["output"] + "/events.jsonl.gz", "wt", compresslevel=1) as file:
    page = 1
    while True:
        answer = session.post(ask["url"] + "/events/export", json={**ask["body"], "page": page}, timeout=300)
        answer.raise_for_status()
        events = answer.json()["events"]
        if not events:
            break
        for event in events:
            file.write(json.dumps(event) + "\n")
        page += 1
