"""Serve a sandbox from the command line: ``python -m airflow_provider_honeyhive.sandbox``."""

from __future__ import annotations

import argparse
import sys

from airflow_provider_honeyhive.sandbox.command import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_honeyhive.sandbox", description="Serve a stand-in HoneyHive."
    )
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
