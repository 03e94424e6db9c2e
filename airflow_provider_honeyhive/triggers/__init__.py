"""The triggers, in Airflow's usual place for them: waiting without a worker slot.

One waits for a window, one for a moment, one watches for new events.
May know the tasks package and everything below it: no operators, no sensors.
"""
