"""What operators, sensors and triggers share of Airflow.

Arguments, the window of a run, watermarks and other small state, polling, asset events, lineage.
May know the hook, the link and everything below: no operator, sensor or trigger.
"""
