"""The operators, in Airflow's usual place for them.

They check arguments when a DAG is parsed, and hand the work to the packages above.
Nothing in this provider may import them.
"""
