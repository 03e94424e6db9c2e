"""The link from a task in Airflow's web interface to its events in HoneyHive.

The task stores the address when it has exported; the link only shows it.
May know the result of an export and the models: no operators.
"""
