"""Every event of a window once, proved against the server's totals.

The reader pages from the newest event to the oldest and reads a slice again when its proof fails.
May know the API, events and models: nothing of files or of Airflow.
"""
