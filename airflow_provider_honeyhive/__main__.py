"""``python -m airflow_provider_honeyhive``."""

from __future__ import annotations

import os
import sys

from airflow_provider_honeyhive.cli.collector import without_collector

# A plugin of pydantic would see all that it checks, the key included. To look for some takes longer than all of an
# export's own models; whoever sets this gets them.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

with without_collector():
    from airflow_provider_honeyhive.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
