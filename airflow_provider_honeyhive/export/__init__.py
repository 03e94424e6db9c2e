"""One export, from plan to published manifest. Knows all of the above; no Airflow."""
