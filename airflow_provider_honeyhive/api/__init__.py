"""HoneyHive over HTTP: one page for one question, with retries. Knows nothing of completeness, files and Airflow."""
