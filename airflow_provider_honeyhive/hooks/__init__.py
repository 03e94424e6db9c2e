"""The hook: a HoneyHive client made of an Airflow connection.

It also tests the connection for Airflow's form, and reads or counts events for tasks of the user's own.
May know the API, the reading and the models: no operators, no files.
"""
