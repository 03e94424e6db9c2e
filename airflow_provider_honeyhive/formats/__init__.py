"""Events as the bytes of data files, and back again.

One schema for the tables, one serializer for each format, one check of a data file.
May know events and models: no HTTP, no Airflow, and not where a file lies.
"""
