"""The sensor, in Airflow's usual place for it.

It waits until a window holds enough events, or has stopped changing.
Nothing in this provider may import it.
"""
