"""The command line. Imports no Airflow."""
