"""Reports on exported events: tables made by DuckDB, and one HTML page with charts. Plain Python, no scheduler."""
