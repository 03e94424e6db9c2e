"""The JSON text of one event: decoded as far as needed, searched, masked. Knows nothing of HTTP, files and Airflow."""
