"""Reads every event of a window once, and proves it. Knows pages; nothing of files and Airflow."""
