"""HoneyHive over HTTP: one request, one page of events, with retries.

Everything that differs between endpoints and servers of HoneyHive, and every network failure, ends here.
May know events and models: nothing of complete windows, of files or of Airflow.
"""
