"""dlt's ``rest_api`` source into its ``filesystem`` destination, as gzipped JSON lines.

Nested objects stay in their events (``max_table_nesting=0``): dlt's default makes tables of them, which takes longer.
"""

import json
import sys

import dlt
from dlt.destinations import filesystem
from dlt.sources.rest_api import rest_api_source

ask = json.loads(sys.argv[1])
source = rest_api_source(
    {
        "client": {"base_url": ask["url"], "auth": {"type": "bearer", "token": ask["key"]}},
        "resources": [
            {
                "name": "events",
                "max_table_nesting": 0,
                "endpoint": {
                    "path": "/events/export",
                    "method": "POST",
                    "json": ask["body"],
                    "data_selector": "events",
                    "paginator": {
                        "type": "page_number",
                        "base_page": 1,
                        "page_body_path": "page",
                        "total_path": None,
                        "stop_after_empty_page": True,
                    },
                },
            }
        ],
    }
)
pipeline = dlt.pipeline(
    "bench",
    pipelines_dir=ask["scratch"],
    destination=filesystem(bucket_url="file://" + ask["output"]),
    dataset_name="events",
)
pipeline.run(source, loader_file_format="jsonl").raise_on_failed_jobs()
