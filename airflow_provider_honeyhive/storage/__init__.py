"""Files in a folder of any store, written whole or not at all.

The local disk, and object stores through fsspec, behind one protocol.
May know only the exceptions: nothing of events, HTTP or Airflow.
"""
