"""Links from Airflow's web interface to HoneyHive's."""
