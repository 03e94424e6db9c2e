"""The JSON text of one event: read as far as needed, searched, masked.

An event's bytes stay as the server sent them, but for what the user's rules take out.
May know models and exceptions: no HTTP, no files, no Airflow.
"""
