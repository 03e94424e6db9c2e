"""The command line: export, verify, and a sandbox to try them on.

It reads its connection from the environment, as Airflow does, and reports in words and exit codes.
May know everything from models to export: it imports no Airflow.
"""
