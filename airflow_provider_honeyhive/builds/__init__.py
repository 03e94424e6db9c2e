"""What all builds share: which exports they read, the database that holds those, and how their files are published.

A build makes files of published exports: tables, a dataset, a report. Plain Python and DuckDB, no Airflow.
"""
