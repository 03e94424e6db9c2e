"""Events as the bytes of files, and back. Knows nothing of HTTP and Airflow, nor where the files are."""
